//! Who is chosen, who is refused, and in which words.

use std::time::Duration;

use p2p_proto::{ContentHash, Visibility};
use uuid::Uuid;

use super::*;
use crate::clock::after;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn file(visibility: Visibility) -> Publication {
    Publication {
        id: Uuid::nil(),
        owner: "ana".parse().unwrap(),
        name: "scan.tar".parse().unwrap(),
        version: 1,
        hash: ContentHash::of(b"x"),
        size: 1000,
        visibility,
        published_at: NOW,
    }
}

/// A peer of ana that can take a copy.
fn place(number: u8) -> Place {
    Place {
        peer_id: PeerId::from([number; 32]),
        peer_name: format!("gpu{number}").parse().unwrap(),
        addresses: Vec::new(),
        user: "ana".parse().unwrap(),
        sees: true,
        accepts: AcceptCopies::Own,
        free_bytes: Some(1000),
        active_transfers: 0,
        online: true,
        denied: false,
        certificate_expires_at: Some(after(NOW, Duration::from_secs(1))),
        holds_all: false,
        reports: 0,
    }
}

struct Asked<'a> {
    by: &'a str,
    copies: u32,
    to: &'a [&'a str],
    online_copies: usize,
    of: Visibility,
}

const PLAIN: Asked<'static> = Asked {
    by: "ana",
    copies: 1,
    to: &[],
    online_copies: 0,
    of: Visibility::Public,
};

fn ask(asked: &Asked<'_>, places: Vec<Place>) -> Result<Plan, Unfit> {
    let to: Vec<Pattern> = asked.to.iter().map(|text| Pattern::read(text)).collect();
    let question = Question {
        of: &file(asked.of),
        user: &asked.by.parse().unwrap(),
        peer: PeerId::from([255; 32]),
        copies: asked.copies,
        to: &to,
        exclude: &HashSet::from([PeerId::from([99; 32])]),
        online_copies: asked.online_copies,
        now: NOW,
    };
    decide(&question, places)
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.targets
        .iter()
        .map(|place| place.peer_name.as_str())
        .collect()
}

/// The peer's answer to a wish for a copy on it.
fn refusal(asked: &Asked<'_>, change: impl FnOnce(&mut Place)) -> Option<String> {
    let mut changed = place(1);
    change(&mut changed);
    let to = Asked {
        copies: 0,
        to: &["gpu1"],
        ..*asked
    };
    let plan = ask(&to, vec![changed]).unwrap();
    assert_eq!(plan.targets.len() + plan.refused.len(), 1);
    plan.refused.into_iter().next().map(|refused| refused.reason)
}

#[test]
fn each_obstacle_has_its_words() {
    let by_bob = Asked { by: "bob", ..PLAIN };
    let private = Asked {
        of: Visibility::Private,
        ..PLAIN
    };
    let of_lab = Asked {
        of: "group:lab".parse().unwrap(),
        ..PLAIN
    };
    let bobs = |peer: &mut Place| {
        peer.user = "bob".parse().unwrap();
        peer.accepts = AcceptCopies::Cluster;
        peer.sees = false;
    };
    assert_eq!(refusal(&PLAIN, |_| {}), None);
    assert_eq!(
        refusal(&by_bob, |peer| peer.accepts = AcceptCopies::Cluster),
        None
    );
    let mut found = vec![
        refusal(&PLAIN, |peer| peer.online = false),
        refusal(&PLAIN, |peer| peer.denied = true),
        refusal(&PLAIN, |peer| peer.certificate_expires_at = None),
        refusal(&PLAIN, |peer| peer.certificate_expires_at = Some(NOW)),
        refusal(&PLAIN, |peer| peer.free_bytes = Some(999)),
        refusal(&PLAIN, |peer| peer.free_bytes = None),
        refusal(&by_bob, |_| {}),
        refusal(&private, bobs),
        refusal(&of_lab, bobs),
    ];
    let found: Vec<String> = found.drain(..).map(Option::unwrap).collect();
    assert_eq!(
        found,
        [
            "is offline",
            "is shut out of this directory",
            "has no valid certificate",
            "has no valid certificate",
            "has 999 B free",
            "has not told how much is free",
            "accepts copies of its own account only",
            "cannot take private files of ana",
            "is of bob, who is no member of lab",
        ]
    );
}

#[test]
fn the_least_loaded_comes_first_and_then_the_emptiest() {
    let mut places: Vec<Place> = (1..=4).map(place).collect();
    places[0].active_transfers = 1;
    places[0].free_bytes = Some(1 << 40);
    places[2].free_bytes = Some(5000);
    places[3].free_bytes = Some(6000);
    let plan = ask(&Asked { copies: 4, ..PLAIN }, places).unwrap();
    assert_eq!(names(&plan), ["gpu4", "gpu3", "gpu2", "gpu1"]);
}

#[test]
fn equals_stay_in_the_order_they_came_in() {
    let places = vec![place(3), place(1), place(2)];
    assert_eq!(names(&ask(&PLAIN, places).unwrap()), ["gpu3", "gpu1", "gpu2"]);
}

#[test]
fn copies_that_are_there_count_and_some_targets_are_spare() {
    let places = || (1..=9).map(place).collect::<Vec<_>>();
    let count = |copies, online_copies| {
        let asked = Asked {
            copies,
            online_copies,
            ..PLAIN
        };
        let plan = ask(&asked, places()).unwrap();
        (plan.needed, plan.targets.len())
    };
    assert_eq!(count(2, 1), (1, 4));
    assert_eq!(count(2, 2), (0, 0));
    assert_eq!(count(1, 5), (0, 0));
    assert_eq!(count(64, 1), (63, 9));
}

#[test]
fn holders_the_caller_and_the_excluded_are_neither_targets_nor_refused() {
    let mut places = vec![place(1), place(99), place(255)];
    places[0].holds_all = true;
    let to = Asked {
        copies: 0,
        to: &["*"],
        ..PLAIN
    };
    let plan = ask(&to, places).unwrap();
    assert!(plan.targets.is_empty() && plan.refused.is_empty());
    assert_eq!(plan.needed, 0);
}

#[test]
fn a_copy_that_several_call_bad_is_no_copy_and_no_target() {
    let reason = refusal(&PLAIN, |peer| {
        peer.holds_all = true;
        peer.reports = ENOUGH;
    });
    assert!(reason.unwrap().contains("bad"));
}

#[test]
fn what_is_named_must_be_there() {
    for (text, good) in [
        ("gpu1", true),
        (&PeerId::from([1; 32]).to_string(), true),
        ("gpu?", true),
        ("*", true),
        ("GPU1", false),
        ("gpu", false),
        ("x*", false),
        (&PeerId::from([9; 32]).to_string(), false),
    ] {
        let asked = Asked {
            copies: 0,
            to: &["gpu1", text],
            ..PLAIN
        };
        let found = ask(&asked, vec![place(1)]);
        assert_eq!(found.is_ok(), good, "{text}");
        if !good {
            assert_eq!(found.unwrap_err(), Unfit::Nobody(text.to_owned()));
        }
    }
}

#[test]
fn named_peers_and_a_number_bound_each_other() {
    let asked = Asked {
        copies: 2,
        to: &["gpu1", "gpu2"],
        online_copies: 1,
        ..PLAIN
    };
    let plan = ask(&asked, (1..=5).map(place).collect()).unwrap();
    assert_eq!((plan.needed, names(&plan)), (1, vec!["gpu1", "gpu2"]));
}
