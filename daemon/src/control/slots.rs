//! Places for descriptors: a client asks for one over gRPC, and fills it over the side socket. A slot is 128 random bits,
//! lasts 30 s, works once, and only for the user who asked. What is not claimed in time is closed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use p2p_proto::{Failure, FailureKind};
use ring::rand::{SecureRandom, SystemRandom};

use crate::user_file::UserFile;

/// How long a slot lasts, empty or filled.
const LIFETIME: Duration = Duration::from_secs(30);

/// The most slots of one user at a time.
const PER_USER: usize = 8;

/// Names a slot.
pub type Token = [u8; 16];

/// What the daemon will do with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Read it: import.
    Read,
    /// Write it, and read back what was written: delivery.
    Write,
}

struct Slot {
    uid: u32,
    purpose: Purpose,
    ends: Instant,
    file: Option<UserFile>,
}

/// All slots.
#[derive(Default)]
pub struct Slots(Mutex<HashMap<Token, Slot>>);

impl Slots {
    /// A slot for this user.
    ///
    /// # Errors
    /// When the user has too many, or the system has no random bytes.
    pub fn open(&self, uid: u32, purpose: Purpose) -> Result<Token, Failure> {
        self.open_at(uid, purpose, Instant::now())
    }

    fn open_at(&self, uid: u32, purpose: Purpose, now: Instant) -> Result<Token, Failure> {
        let mut token = Token::default();
        SystemRandom::new()
            .fill(&mut token)
            .map_err(|_| Failure::new(FailureKind::Internal, "the system has no random bytes"))?;
        let mut slots = self.slots();
        let waiting = |slot: &&Slot| slot.uid == uid && slot.ends > now;
        if slots.values().filter(waiting).count() >= PER_USER {
            let message = format!("{PER_USER} files of this user wait to be claimed already");
            return Err(Failure::new(FailureKind::NotPermitted, message).hint("Try again in 30 s"));
        }
        slots.insert(
            token,
            Slot {
                uid,
                purpose,
                ends: now + LIFETIME,
                file: None,
            },
        );
        Ok(token)
    }

    /// What the empty slot of this user is for; `None` when there is none.
    #[must_use]
    pub fn purpose(&self, token: &Token, uid: u32) -> Option<Purpose> {
        let slots = self.slots();
        let slot = slots.get(token)?;
        (slot.uid == uid && slot.file.is_none() && slot.ends > Instant::now()).then_some(slot.purpose)
    }

    /// Fills the slot.
    ///
    /// # Errors
    /// Gives the file back when it is not an empty slot of this user.
    pub fn fill(&self, token: &Token, uid: u32, file: UserFile) -> Result<(), UserFile> {
        let mut slots = self.slots();
        match slots.get_mut(token) {
            Some(slot) if slot.uid == uid && slot.file.is_none() && slot.ends > Instant::now() => {
                slot.file = Some(file);
                Ok(())
            }
            _ => Err(file),
        }
    }

    /// Closes what was not claimed in time.
    pub fn tidy(&self) {
        self.tidy_at(Instant::now());
    }

    fn tidy_at(&self, now: Instant) {
        self.slots().retain(|_, slot| slot.ends > now);
    }

    /// Takes the file out; the slot is gone.
    ///
    /// # Errors
    /// `Usage` when it is not a filled slot of this user and purpose.
    pub fn claim(&self, token: &[u8], uid: u32, purpose: Purpose) -> Result<UserFile, Failure> {
        self.claim_at(token, uid, purpose, Instant::now())
    }

    fn claim_at(&self, token: &[u8], uid: u32, purpose: Purpose, now: Instant) -> Result<UserFile, Failure> {
        let mut slots = self.slots();
        let key = Token::try_from(token).ok();
        let fits = |slot: &Slot| {
            slot.uid == uid && slot.purpose == purpose && slot.file.is_some() && slot.ends > now
        };
        key.filter(|key| slots.get(key).is_some_and(fits))
            .and_then(|key| slots.remove(&key))
            .and_then(|slot| slot.file)
            .ok_or_else(|| Failure::new(FailureKind::Usage, "no file was passed for this call"))
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<Token, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> UserFile {
        tempfile::tempfile().unwrap().into()
    }

    #[tokio::test]
    async fn a_slot_works_once() {
        let slots = Slots::default();
        let token = slots.open(7, Purpose::Read).unwrap();
        assert!(slots.claim(&token, 7, Purpose::Read).is_err());
        slots.fill(&token, 7, file()).unwrap();
        assert!(slots.fill(&token, 7, file()).is_err());
        assert!(slots.claim(&token, 7, Purpose::Read).is_ok());
        assert!(slots.claim(&token, 7, Purpose::Read).is_err());
    }

    #[tokio::test]
    async fn only_for_its_user_and_purpose() {
        let slots = Slots::default();
        let token = slots.open(7, Purpose::Read).unwrap();
        assert!(slots.fill(&token, 8, file()).is_err());
        slots.fill(&token, 7, file()).unwrap();
        assert!(slots.claim(&token, 8, Purpose::Read).is_err());
        assert!(slots.claim(&token, 7, Purpose::Write).is_err());
        assert!(slots.claim(&token[..15], 7, Purpose::Read).is_err());
        assert!(slots.claim(&token, 7, Purpose::Read).is_ok());
    }

    #[tokio::test]
    async fn what_is_not_claimed_is_closed() {
        let slots = Slots::default();
        let now = Instant::now();
        let token = slots.open_at(7, Purpose::Read, now).unwrap();
        let (kept, written) = rustix::pipe::pipe().unwrap();
        slots.fill(&token, 7, written.into()).unwrap();
        slots.tidy_at(now);
        assert_eq!(slots.slots().len(), 1);
        slots.tidy_at(now + LIFETIME);
        assert!(slots.slots().is_empty());
        // The last writing end goes: the pipe comes to its end instead of being empty.
        let read = tokio::task::spawn_blocking(move || rustix::io::read(&kept, &mut [0; 1]));
        assert_eq!(read.await.unwrap(), Ok(0));
    }

    #[tokio::test]
    async fn slots_are_few_and_end() {
        let slots = Slots::default();
        let now = Instant::now();
        let tokens: Vec<_> = (0..PER_USER)
            .map(|_| slots.open_at(7, Purpose::Read, now).unwrap())
            .collect();
        assert!(slots.open_at(7, Purpose::Read, now).is_err());
        assert!(slots.open_at(8, Purpose::Read, now).is_ok());
        slots.fill(&tokens[0], 7, file()).unwrap();
        assert!(
            slots
                .claim_at(&tokens[0], 7, Purpose::Read, now + LIFETIME)
                .is_err()
        );
        assert!(slots.open_at(7, Purpose::Read, now + LIFETIME).is_ok());
    }
}
