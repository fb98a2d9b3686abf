//! Which names are taken, and as which they count.

use proptest::prelude::*;

use super::*;

#[test]
fn refuses_what_is_no_file_name() {
    let long = "x".repeat(256);
    for bad in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/",
        "a\nb",
        "a\0",
        "\u{202E}gpj.exe",
        "a\u{2066}b",
        "a\u{85}b",
        "\u{7f}",
        &long,
    ] {
        assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
    }
}

#[test]
fn accepts_what_people_use() {
    for good in [
        "a",
        "...",
        ".hidden",
        "scan.tar",
        "Änderung (2).txt",
        "数据.bin",
        "-rf",
        &"x".repeat(255),
    ] {
        assert_eq!(good.parse::<FileName>().unwrap().as_str(), good);
    }
}

#[test]
fn composes_to_nfc() {
    assert_eq!("A\u{308}".parse::<FileName>().unwrap().as_str(), "\u{c4}");
}

#[test]
fn labels() {
    for good in ["ana", "0", "a.b-c_d", &"a".repeat(32)] {
        assert!(good.parse::<UserName>().is_ok(), "{good}");
    }
    for bad in ["", "Ana", "-a", "_a", ".a", "a b", "a/b", "ä", &"a".repeat(33)] {
        assert!(bad.parse::<UserName>().is_err(), "{bad}");
    }
}

#[test]
fn a_visibility_has_one_spelling() {
    let longest = format!("group:{}", "g".repeat(32));
    for good in ["public", "private", "group:lab", "group:0.a_b-c", &longest] {
        let visibility: Visibility = good.parse().unwrap();
        assert_eq!(
            (visibility.as_str(), visibility.to_string()),
            (good, good.to_owned())
        );
        let json = serde_json::to_string(&visibility).unwrap();
        assert_eq!(json, format!("\"{good}\""));
        assert_eq!(serde_json::from_str::<Visibility>(&json).unwrap(), visibility);
    }
    let too_long = format!("group:{}", "g".repeat(33));
    for bad in [
        "",
        "Public",
        "group",
        "group:",
        "group:Lab",
        "group:a b",
        "group:\u{e4}",
        &too_long,
    ] {
        assert!(bad.parse::<Visibility>().is_err(), "{bad}");
    }
    let lab: Visibility = "group:lab".parse().unwrap();
    assert_eq!(lab.group().unwrap().as_str(), "lab");
    assert_ne!(lab, "group:la".parse().unwrap());
}

proptest! {
    #[test]
    fn a_checked_name_checks_again(text in ".{0,300}") {
        if let Ok(name) = text.parse::<FileName>() {
            prop_assert_eq!(name.as_str().parse::<FileName>().unwrap(), name.clone());
            prop_assert!(name.as_str().len() <= MAX_FILE_NAME);
            prop_assert_eq!(std::path::Path::new(name.as_str()).file_name().unwrap(), name.as_str());
        }
    }
}
