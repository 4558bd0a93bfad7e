//! Removes guests, with all of their data, when nobody can come back as them; and finishes interrupted deletions.

use std::time::Duration;

use banter_stores::{StoreError, Stores, UserId, clock::SharedClock};
use futures::{StreamExt, stream};
use tokio::time::{MissedTickBehavior, interval};

use crate::user_data::{self, UserDataError};

/// How often a server looks for expired guests. Several servers may remove the same guest.
const PAUSE: Duration = Duration::from_secs(600);
/// Guests that are looked up at once, and removed at the same time.
const FOUND: u32 = 200;
const REMOVED_TOGETHER: usize = 8;

/// Removes expired guests for as long as the server runs.
pub async fn keep_removing_guests(stores: Stores, clock: SharedClock) {
    let mut pauses = interval(PAUSE);
    pauses.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pauses.tick().await;
        if let Err(error) = resume_deletions(&stores, &clock).await {
            tracing::warn!(%error, "interrupted deletions are not finished; trying again later");
        }
        match remove_expired_guests(&stores, &clock).await {
            Ok(0) => {}
            Ok(guests) => tracing::info!(guests, "removed guests whose log-in ended long ago"),
            Err(error) => tracing::warn!(%error, "expired guests are not removed; trying again later"),
        }
    }
}

/// Finishes the deletions that somebody began and did not end. One that is still going on does not mind.
///
/// # Errors
/// Those of the stores, when they cannot be found.
pub async fn resume_deletions(stores: &Stores, clock: &SharedClock) -> Result<(), StoreError> {
    for user in stores.users.unfinished_deletions().await? {
        match user_data::delete(stores, &**clock, user).await {
            Ok(()) | Err(UserDataError::Unknown(_)) => {}
            Err(error) => tracing::warn!(%error, user = user.0, "an interrupted deletion is not finished"),
        }
    }
    Ok(())
}

/// Removes guests whose log-in has ended; returns how many.
///
/// # Errors
/// Those of the stores, when the guests cannot be found. A guest that cannot be removed is left as an
/// interrupted deletion.
pub async fn remove_expired_guests(stores: &Stores, clock: &SharedClock) -> Result<usize, StoreError> {
    let mut removed = 0;
    loop {
        let expired = stores.users.expired_guests(FOUND).await?;
        let found = expired.len();
        let remove = async |user: UserId| match user_data::delete(stores, &**clock, user).await {
            // Another server was faster.
            Ok(()) | Err(UserDataError::Unknown(_)) => 1,
            Err(error) => {
                tracing::warn!(%error, user = user.0, "an expired guest is not removed");
                0
            }
        };
        let removals = stream::iter(expired).map(remove).buffer_unordered(REMOVED_TOGETHER);
        let gone: usize = removals.fold(0, async |sum, one| sum + one).await;
        removed += gone;
        if found < FOUND as usize || gone == 0 {
            return Ok(removed);
        }
    }
}
