//! Passwords as Argon2id hashes. Hashing is slow on purpose, so it runs on blocking threads, a few at once, and those
//! who wait are few too. Nothing here is kept but a hash of nobody's password.

use std::{sync::Arc, time::Duration};

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use zeroize::Zeroizing;

/// The longest password, in bytes.
pub const MAX_PASSWORD: usize = 1024;

/// The shortest password that can be set, in characters.
pub const MIN_PASSWORD: usize = 8;

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How many are hashed at once.
const AT_ONCE: usize = 2;

/// How many more may wait.
const WAITING: usize = 64;

/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many others are at it.
    #[error("too many logins at once")]
    Busy,
    /// Argon2 or a stored hash is broken.
    #[error("password hashing failed")]
    Failed,
}

/// Why a password cannot be set.
#[derive(Debug, thiserror::Error)]
#[error("a password has at least {MIN_PASSWORD} characters and at most {MAX_PASSWORD} bytes")]
pub struct BadPassword;

/// Whether the password may be set.
///
/// # Errors
/// When it is too short or too long.
pub fn check_new(password: &str) -> Result<(), BadPassword> {
    let good = password.len() <= MAX_PASSWORD && password.chars().count() >= MIN_PASSWORD;
    good.then_some(()).ok_or(BadPassword)
}

/// Hashes and checks passwords.
pub struct Passwords {
    queue: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    nobodys: String,
}

impl Passwords {
    /// Makes the hash that a password is checked against when there is no such user.
    ///
    /// # Errors
    /// When Argon2 refuses.
    pub fn new() -> Result<Self, PasswordError> {
        Ok(Self {
            queue: Arc::new(Semaphore::new(WAITING + AT_ONCE)),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            nobodys: hash("nobody has this password")?,
        })
    }

    /// The PHC string of the password.
    ///
    /// # Errors
    /// When too many others wait.
    pub async fn hash(&self, password: Zeroizing<String>) -> Result<String, PasswordError> {
        self.in_turn(move || hash(&password)).await
    }

    /// Whether the password is the one of this PHC string. Without one it is not, after just as much work.
    ///
    /// # Errors
    /// When too many others wait.
    pub async fn verify(
        &self,
        password: Zeroizing<String>,
        known: Option<String>,
    ) -> Result<bool, PasswordError> {
        let exists = known.is_some();
        let known = known.unwrap_or_else(|| self.nobodys.clone());
        let fits = self.in_turn(move || verify(&password, &known)).await?;
        Ok(fits && exists)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let queued = self
            .queue
            .clone()
            .try_acquire_owned()
            .map_err(|_| PasswordError::Busy)?;
        let slot = timeout(PATIENCE, self.slots.clone().acquire_owned())
            .await
            .map_err(|_| PasswordError::Busy)?
            .map_err(|_| PasswordError::Busy)?;
        // The permits go along: a caller that gives up does not make room before the work is done.
        run(queued, slot, work).await
    }
}

async fn run<T: Send + 'static>(
    queued: OwnedSemaphorePermit,
    slot: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
) -> Result<T, PasswordError> {
    tokio::task::spawn_blocking(move || {
        let _permits = (queued, slot);
        work()
    })
    .await
    .map_err(|_| PasswordError::Failed)?
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| PasswordError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> Result<String, PasswordError> {
    let hash = argon2()?
        .hash_password(password.as_bytes())
        .map_err(|_| PasswordError::Failed)?;
    Ok(hash.to_string())
}

fn verify(password: &str, known: &str) -> Result<bool, PasswordError> {
    use argon2::password_hash::Error;
    let known = PasswordHash::new(known).map_err(|_| PasswordError::Failed)?;
    match argon2()?.verify_password(password.as_bytes(), &known) {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(PasswordError::Failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash(secret("plum-orbit")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash(secret("plum-orbit")).await.unwrap());
        assert!(
            passwords
                .verify(secret("plum-orbit"), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(!passwords.verify(secret("plum-orbiT"), Some(hash)).await.unwrap());
        assert!(
            !passwords
                .verify(secret("nobody has this password"), None)
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn a_full_queue_is_busy() {
        let passwords = Passwords::new().unwrap();
        let all = passwords.queue.clone().acquire_many_owned(66).await.unwrap();
        assert!(matches!(
            passwords.hash(secret("x")).await,
            Err(PasswordError::Busy)
        ));
        drop(all);
        assert!(passwords.hash(secret("x")).await.is_ok());
    }

    #[test]
    fn lengths() {
        for good in ["12345678", "ääääääää", &"x".repeat(1024)] {
            assert!(check_new(good).is_ok());
        }
        for bad in ["", "1234567", "äääääää", &"x".repeat(1025)] {
            assert!(check_new(bad).is_err());
        }
    }
}
