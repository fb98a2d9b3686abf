//! What people type: names, references, patterns, ids, hashes, sizes, times, a directory's address. What is accepted prints
//! as something that is accepted and means the same, and holds nothing that is forbidden.

use std::{fmt::Debug, path::Path, str::FromStr};

use p2p_daemon::identity::directory_url::DirectoryUrl;
use p2p_directory::{config::ServerName, placement::Pattern};
use p2p_proto::{
    ByteCount, ContentHash, FileName, FileRef, PeerId, PeerIdentity, PeerName, UserName, Visibility,
    file_ref::{MIN_HASH_PREFIX, Reading},
    index::IndexDigest,
};
use p2p_service::config::HumanDuration;

/// One input: a text. With a line in it, what comes before is also a pattern for what comes after.
///
/// # Panics
/// When one of them is accepted that should not be, or is not what it was after it was printed.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    file_name(text);
    labels(text);
    references(text);
    sizes(text);
    addresses(text);
    prints_the_same::<Visibility>(text);
    prints_the_same::<PeerId>(text);
    prints_the_same::<ContentHash>(text);
    prints_the_same::<PeerIdentity>(text);
    if let Ok(digest) = IndexDigest::try_from(text.to_owned()) {
        assert_eq!(String::from(digest), text);
    }
    let (pattern, names) = text.split_once('\n').unwrap_or((text, text));
    patterns(pattern, names);
}

/// There is one spelling of it.
fn prints_the_same<T: FromStr + ToString>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

/// What it prints reads as the same.
fn reads_back<T>(value: &T) -> String
where
    T: FromStr<Err: Debug> + ToString + PartialEq + Debug,
{
    let printed = value.to_string();
    assert_eq!(&printed.parse::<T>().expect("what was printed"), value);
    printed
}

/// Turns the direction of a text, or its lines, without being seen: UAX #9 and #14.
const UNSEEN: &str = "\u{61C}\u{200E}\u{200F}\u{2028}\u{2029}\u{202A}\u{202B}\u{202C}\u{202D}\u{202E}\
                      \u{2066}\u{2067}\u{2068}\u{2069}\u{FEFF}";

fn file_name(text: &str) {
    let Ok(name) = text.parse::<FileName>() else {
        return;
    };
    let printed = reads_back(&name);
    assert!((1..=255).contains(&printed.len()), "{printed:?}");
    let forbidden = |c: char| c == '/' || c.is_control() || UNSEEN.contains(c);
    assert!(!printed.contains(forbidden), "{printed:?}");
    let inside = Path::new("/folder").join(&printed);
    assert_eq!(inside.parent(), Some(Path::new("/folder")), "{printed:?}");
    assert_eq!(inside.file_name(), Some(printed.as_ref()), "{printed:?}");
    let json = serde_json::to_string(&name).expect("JSON");
    assert_eq!(serde_json::from_str::<FileName>(&json).expect("a name"), name);
}

fn labels(text: &str) {
    let is_label = |most: usize| {
        let plain = |c: char| matches!(c, 'a'..='z' | '0'..='9');
        (1..=most).contains(&text.len())
            && text.starts_with(plain)
            && text.chars().all(|c| plain(c) || matches!(c, '.' | '_' | '-'))
    };
    assert_eq!(text.parse::<UserName>().is_ok(), is_label(32), "{text:?}");
    assert_eq!(text.parse::<PeerName>().is_ok(), is_label(63), "{text:?}");
    prints_the_same::<UserName>(text);
    prints_the_same::<PeerName>(text);
}

fn references(text: &str) {
    let Ok(reference) = text.parse::<FileRef>() else {
        return;
    };
    assert_eq!(reads_back(&reference), text);
    assert!((1..=3).contains(&reference.readings().len()), "{reference:?}");
    for reading in reference.readings() {
        let exact = match reading {
            Reading::Name { owner, name } => format!("name:{}{name}", prefix(owner.as_ref())),
            Reading::Version { owner, name, version } => {
                assert!(*version > 0, "{reference:?}");
                format!("name:{}{name}@{version}", prefix(owner.as_ref()))
            }
            Reading::Hash(hash) => format!("hash:{hash}"),
            Reading::HashPrefix(digits) => {
                assert!((MIN_HASH_PREFIX..64).contains(&digits.len()), "{digits}");
                let lower = |c: char| c.is_ascii_digit() || matches!(c, 'a'..='f');
                assert!(digits.chars().all(lower), "{digits}");
                format!("hash:{digits}")
            }
        };
        let again: FileRef = exact.parse().expect("what a reading prints");
        assert!(again.readings().contains(reading), "{reading:?} of {exact:?}");
    }
}

fn prefix(owner: Option<&UserName>) -> String {
    owner.map_or_else(String::new, |owner| format!("{owner}/"))
}

fn sizes(text: &str) {
    if let Ok(size) = text.parse::<ByteCount>() {
        // It is rounded when it is printed, and only then.
        let printed = size.to_string();
        let rounded: ByteCount = printed.parse().expect("what was printed");
        assert_eq!(rounded.to_string(), printed, "of {}", size.0);
        let off = size.0.abs_diff(rounded.0);
        assert!(off <= size.0 / 18, "{} is printed as {printed}", size.0);
        assert_eq!(size.0.to_string().parse(), Ok(size));
    }
    if let Ok(time) = text.parse::<HumanDuration>() {
        reads_back(&time);
    }
}

fn addresses(text: &str) {
    if let Ok(url) = DirectoryUrl::parse(text) {
        let printed = url.as_str();
        let again = DirectoryUrl::parse(printed).expect("what was printed");
        assert_eq!(again, url);
        let rest = printed.strip_prefix("https://").expect("https");
        assert!(
            !rest.contains(['/', '@', '?', '#', '\\', ' ']),
            "{printed:?} of {text:?}"
        );
        assert!(
            rest.rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        );
        // Who writes a password there must hear that it is not used.
        assert!(!text.contains('@'), "{text:?}");
    }
    if let Ok(name) = ServerName::try_from(text.to_owned()) {
        let printed = name.to_string();
        assert_eq!(ServerName::try_from(printed), Ok(name), "{text:?}");
    }
}

fn patterns(text: &str, names: &str) {
    let pattern = Pattern::read(text);
    assert_eq!(pattern.text(), text);
    for name in names.lines().take(8) {
        let Ok(name) = name.parse::<PeerName>() else {
            continue;
        };
        let meant = match &pattern {
            Pattern::Glob(_) => {
                let bytes: Vec<char> = text.chars().collect();
                stupid_glob(&bytes, name.as_str().as_bytes())
            }
            Pattern::Id(_) | Pattern::Name(_) => text == name.as_str(),
        };
        assert_eq!(pattern.fits_name(&name), meant, "{text:?} {name}");
    }
}

/// Every place that a pattern could be at, for each character of the text.
fn stupid_glob(pattern: &[char], text: &[u8]) -> bool {
    let skip = |at: &mut Vec<bool>| {
        for (p, c) in pattern.iter().enumerate() {
            at[p + 1] |= *c == '*' && at[p];
        }
    };
    let mut at = vec![false; pattern.len() + 1];
    at[0] = true;
    skip(&mut at);
    for byte in text {
        let mut next = vec![false; pattern.len() + 1];
        for (p, c) in pattern.iter().enumerate().filter(|(p, _)| at[*p]) {
            match c {
                '*' => next[p] = true,
                '?' => next[p + 1] = true,
                c => next[p + 1] |= *c == char::from(*byte),
            }
        }
        skip(&mut next);
        at = next;
    }
    at[pattern.len()]
}
