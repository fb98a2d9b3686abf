//! What the directory last said, for when it is away. The store keeps it; what of it still counts is decided here: an
//! answer to this account, with a grant in this peer's name that is not past its offline end.

use jiff::Timestamp;
use p2p_proto::{
    Failure, FailureKind,
    grant::{Action, BadGrant, Expected, Verifier},
    rest::{location::LocateResponse, publications::Publication},
};

use super::{Answer, Location, same_content};
use crate::{
    identity::session::Session,
    store::{AccountId, Store, StoreError},
};

/// The memory.
pub(super) struct Remembered(pub(super) Store);

/// All that was told to one account.
#[derive(Default)]
pub(super) struct Told {
    /// What still counts.
    pub(super) counts: Vec<Publication>,
    /// What did until its grant ended: nothing of it is used, but that it ended may be said.
    pub(super) ended: Vec<Publication>,
}

impl Remembered {
    /// What this account was told.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn told(&self, session: &Session) -> Result<Told, StoreError> {
        let answers = self.0.remembered_locations(AccountId::of(session)).await?;
        Ok(sorted(answers, &session.verifier, &expected(session)))
    }

    async fn answer(&self, session: &Session, publication: &Publication) -> Result<LocateResponse, Failure> {
        let unknown = || Failure::new(FailureKind::NotFound, "nothing is remembered of it");
        let answer = self
            .0
            .remembered_location(AccountId::of(session), publication.id)
            .await?;
        let located: LocateResponse = answer
            .and_then(|answer| serde_json::from_str(&answer).ok())
            .ok_or_else(unknown)?;
        same_content(&located, publication)?;
        match checked(&located, &session.verifier, &expected(session)) {
            Ok(()) => Ok(located),
            Err(BadGrant::Expired) => Err(too_old(&publication.name)),
            Err(_) => Err(unknown()),
        }
    }
}

impl Location for Remembered {
    fn locate<'a>(&'a self, session: &'a Session, publication: &'a Publication) -> Answer<'a> {
        Box::pin(self.answer(session, publication))
    }
}

/// The directory would have to be asked again. The end of a sentence that says that it is away.
pub(super) fn too_old(what: impl std::fmt::Display) -> Failure {
    let message = format!("and what it last said of {what} is too old");
    Failure::new(FailureKind::Unreachable, message)
}

/// What a grant must say to count while the directory is away.
fn expected(session: &Session) -> Expected {
    Expected {
        cluster: session.record.cluster,
        peer: session.peer_id(),
        action: Action::Read,
        now: Timestamp::now().as_second(),
        directory_away: true,
    }
}

/// The grant is for what it came with, and counts.
fn checked(located: &LocateResponse, verifier: &Verifier, expected: &Expected) -> Result<(), BadGrant> {
    let grant = verifier.verify(&located.grant, expected)?;
    let told = &located.publication;
    if (grant.publication, grant.hash) == (told.id, told.hash) {
        Ok(())
    } else {
        Err(BadGrant::Malformed)
    }
}

fn sorted(answers: Vec<String>, verifier: &Verifier, expected: &Expected) -> Told {
    let mut told = Told::default();
    for answer in answers {
        let Ok(located) = serde_json::from_str::<LocateResponse>(&answer) else {
            continue;
        };
        match checked(&located, verifier, expected) {
            Ok(()) => told.counts.push(located.publication),
            Err(BadGrant::Expired) => told.ended.push(located.publication),
            // In another peer's name, or signed by nobody that this session knows.
            Err(_) => {}
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use p2p_proto::{
        ContentHash, PeerId, Visibility,
        grant::{Grant, LEEWAY_SECONDS, SigningKey},
    };
    use uuid::Uuid;

    use super::*;

    const CLUSTER: Uuid = Uuid::from_u128(1);
    const OFFLINE_END: i64 = 9000;
    const LATER: i64 = 3 * OFFLINE_END;

    fn key() -> SigningKey {
        SigningKey::from_pkcs8(&SigningKey::generate_pkcs8().unwrap()).unwrap()
    }

    fn me() -> PeerId {
        PeerId::of_spki(b"me")
    }

    fn publication(id: u128) -> Publication {
        Publication {
            id: Uuid::from_u128(id),
            owner: "ana".parse().unwrap(),
            name: "scan.tar".parse().unwrap(),
            version: 1,
            hash: ContentHash::of(&id.to_le_bytes()),
            size: 1,
            visibility: Visibility::Private,
            published_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn answer(key: &SigningKey, id: u128, change: impl Fn(&mut Grant)) -> String {
        let publication = publication(id);
        let mut grant = Grant {
            cluster: CLUSTER,
            publication: publication.id,
            hash: publication.hash,
            peer: me(),
            action: Action::Read,
            iat: 1000,
            exp: 1900,
            offline_exp: OFFLINE_END,
        };
        change(&mut grant);
        let located = LocateResponse {
            publication,
            holders: Vec::new(),
            holders_total: 0,
            last_seen: None,
            grant: key.sign(&grant),
        };
        serde_json::to_string(&located).unwrap()
    }

    fn at(now: i64) -> Expected {
        Expected {
            cluster: CLUSTER,
            peer: me(),
            action: Action::Read,
            now,
            directory_away: true,
        }
    }

    fn ids(found: &[Publication]) -> Vec<u128> {
        found.iter().map(|one| one.id.as_u128()).collect()
    }

    #[test]
    fn only_what_still_counts_is_used() {
        let mine = key();
        let other = key();
        let answers = vec![
            answer(&mine, 1, |_| {}),
            answer(&mine, 2, |grant| grant.peer = PeerId::of_spki(b"another")),
            answer(&mine, 3, |grant| grant.cluster = Uuid::from_u128(9)),
            answer(&mine, 4, |grant| grant.action = Action::Replicate),
            answer(&mine, 5, |grant| {
                (grant.publication, grant.offline_exp) = (Uuid::from_u128(1), LATER);
            }),
            answer(&mine, 6, |grant| {
                (grant.hash, grant.offline_exp) = (ContentHash::of(b"another"), LATER);
            }),
            answer(&other, 7, |_| {}),
            answer(&mine, 8, |grant| grant.offline_exp = LATER),
            "what a later build wrote".to_owned(),
        ];
        let verifier = Verifier::new(&[mine.public()]);
        let told = |now| sorted(answers.clone(), &verifier, &at(now));
        let in_time = told(OFFLINE_END + LEEWAY_SECONDS);
        assert_eq!((ids(&in_time.counts), ids(&in_time.ended)), (vec![1, 8], vec![]));
        let late = told(OFFLINE_END + LEEWAY_SECONDS + 1);
        assert_eq!((ids(&late.counts), ids(&late.ended)), (vec![8], vec![1]));
    }
}
