//! Password hashes: Argon2id with OWASP's parameters. Hashing runs off the async threads, with bounded concurrency.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{Error, PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Parameters of the OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Why a password was not hashed or verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("too many passwords are waiting to be hashed")]
    Busy,
    #[error("the password could not be hashed: {0}")]
    Failed(String),
}

/// The result of a verification.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    Right,
    /// Right, but the stored hash has weaker parameters; this is a new hash with the current ones.
    Rehashed(String),
}

#[derive(Clone)]
pub struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    capacity: usize,
}

impl Passwords {
    /// Runs `parallel` hashes at a time; up to `waiting` more may queue.
    pub fn new(parallel: usize, waiting: usize) -> Self {
        let parallel = parallel.max(1);
        Self {
            running: Arc::new(Semaphore::new(parallel)),
            waiting: Arc::new(AtomicUsize::new(0)),
            capacity: parallel + waiting,
        }
    }

    /// The PHC string of a password, with a fresh salt.
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.run(move || hash(&password)).await
    }

    /// Verifies a password against a PHC string.
    ///
    /// # Errors
    /// [`PasswordError`]. A stored string that is not a PHC string is a failure, not a wrong password.
    pub async fn verify(&self, password: String, stored: String) -> Result<Verdict, PasswordError> {
        self.run(move || {
            let parsed = PasswordHash::new(&stored).map_err(|error| PasswordError::Failed(error.to_string()))?;
            match hasher()?.verify_password(password.as_bytes(), &parsed) {
                Ok(()) => {}
                Err(Error::PasswordInvalid) => return Ok(Verdict::Wrong),
                Err(error) => return Err(PasswordError::Failed(error.to_string())),
            }
            if is_current(&parsed) { Ok(Verdict::Right) } else { hash(&password).map(Verdict::Rehashed) }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = Waiting::take(&self.waiting, self.capacity).ok_or(PasswordError::Busy)?;
        let permit = Arc::clone(&self.running).acquire_owned().await;
        let permit = permit.map_err(|error| PasswordError::Failed(error.to_string()))?;
        let result = spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        result.await.map_err(|error| PasswordError::Failed(error.to_string()))?
    }
}

/// A slot among the running and waiting hashes, released on drop.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn take(count: &Arc<AtomicUsize>, capacity: usize) -> Option<Self> {
        let place = Self(Arc::clone(count));
        (count.fetch_add(1, Ordering::AcqRel) < capacity).then_some(place)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn hasher() -> Result<Argon2<'static>, PasswordError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| PasswordError::Failed(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> Result<String, PasswordError> {
    hasher()?
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Failed(error.to_string()))
}

fn is_current(hash: &PasswordHash) -> bool {
    Params::try_from(hash).is_ok_and(|params| {
        hash.algorithm.as_str() == "argon2id" && params.m_cost() >= MEMORY_KIB && params.t_cost() >= PASSES
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rocket::async_test]
    async fn a_weak_hash_is_renewed_and_a_wrong_password_is_not_taken() {
        let passwords = Passwords::new(1, 4);
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let weak = weak.hash_password(b"tulip").unwrap().to_string();
        assert_eq!(passwords.verify("rose".into(), weak.clone()).await.unwrap(), Verdict::Wrong);
        let Verdict::Rehashed(strong) = passwords.verify("tulip".into(), weak).await.unwrap() else {
            panic!("not rehashed")
        };
        assert!(strong.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{strong}");
        assert_eq!(passwords.verify("tulip".into(), strong).await.unwrap(), Verdict::Right);
    }

    #[rocket::async_test]
    async fn the_queue_is_bounded() {
        let passwords = Passwords::new(1, 0);
        let (first, second) = tokio::join!(passwords.hash("a".into()), passwords.hash("b".into()));
        assert!(first.is_ok());
        assert!(matches!(second, Err(PasswordError::Busy)));
    }
}
