//! Users: who they are, their role, their data, and their deletion.

use std::{fs, io::Seek, path::Path};

use banter_stores::{AuditEntry, Millis, Provider, UserId};
use serde_json::json;
use tokio::task::block_in_place;
use uuid::Uuid;

use super::{Console, ConsoleError};
use crate::{
    catalogs::terms::Actor,
    user_data::{self, UserDataError},
};

/// User 1 is the bot.
const BOT: UserId = UserId(1);

/// What an administrator sees of a user.
pub struct UserSummary {
    pub user: UserId,
    pub created_at: Millis,
    /// The provider and the subject of each identity; no secrets.
    pub identities: Vec<(String, String)>,
    pub admin: bool,
    pub dialogues: usize,
}

impl Console {
    /// A user by number or e-mail address.
    ///
    /// # Errors
    /// [`ConsoleError::UnknownUser`], [`ConsoleError::Store`].
    pub async fn user(&self, who: &str) -> Result<UserSummary, ConsoleError> {
        let users = &self.stores.users;
        let user = match who.parse::<i64>() {
            Ok(id) => UserId(id),
            Err(_) => {
                let found = users.find_identity(Provider::Password, &who.trim().to_lowercase()).await?;
                found.ok_or(ConsoleError::UnknownUser)?.user
            }
        };
        let record = users.user_record(user).await?.filter(|_| user != BOT).ok_or(ConsoleError::UnknownUser)?;
        Ok(UserSummary {
            user,
            created_at: record.created_at,
            identities: record.identities.into_iter().map(|one| (one.provider, one.subject)).collect(),
            admin: users.is_admin(user).await?,
            dialogues: self.stores.dialogues.of_user(user).await?.len(),
        })
    }

    /// Grants or revokes the administrator role.
    ///
    /// # Errors
    /// [`ConsoleError::UnknownUser`], [`ConsoleError::Store`].
    pub async fn set_role(&self, user: UserId, admin: bool, actor: &Actor) -> Result<(), ConsoleError> {
        let action = if admin { "admin_granted" } else { "admin_revoked" };
        let entry = self.entry(action, user, actor);
        if user == BOT || !self.stores.users.set_admin(user, admin, &entry).await? {
            return Err(ConsoleError::UnknownUser);
        }
        Ok(())
    }

    /// Writes all data of a user into a file without a name, from its beginning on.
    ///
    /// # Errors
    /// [`ConsoleError::UnknownUser`], [`ConsoleError::Store`], [`ConsoleError::Internal`].
    pub async fn export(&self, user: UserId, actor: &Actor) -> Result<fs::File, ConsoleError> {
        let mut file =
            block_in_place(|| nameless(&self.data_dir)).map_err(|error| ConsoleError::Internal(error.to_string()))?;
        user_data::export(&self.stores, &*self.clock, user, &mut file, &|_| {}).await?;
        self.stores.users.audit(&self.entry("user_exported_at_console", user, actor)).await?;
        file.rewind().map_err(|error| ConsoleError::Internal(error.to_string()))?;
        Ok(file)
    }

    /// Deletes a user with everything that belongs to them.
    ///
    /// # Errors
    /// [`ConsoleError::UnknownUser`], [`ConsoleError::Store`].
    pub async fn delete_user(&self, user: UserId, actor: &Actor) -> Result<(), ConsoleError> {
        if user == BOT || self.stores.users.user_record(user).await?.is_none() {
            return Err(ConsoleError::UnknownUser);
        }
        self.stores.users.audit(&self.entry("deletion_begun_at_console", user, actor)).await?;
        Ok(user_data::delete(&self.stores, &*self.clock, user).await?)
    }

    fn entry(&self, action: &'static str, user: UserId, actor: &Actor) -> AuditEntry {
        let detail = json!({ "by": actor.name });
        AuditEntry { at: self.clock.now(), actor: actor.user, action, subject: Some(user), detail }
    }
}

/// A file that nobody else finds, and that ends with its last reader.
fn nameless(folder: &Path) -> std::io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("export-{}", Uuid::new_v4().simple()));
    let file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

impl From<UserDataError> for ConsoleError {
    fn from(error: UserDataError) -> Self {
        match error {
            UserDataError::Unknown(_) => Self::UnknownUser,
            UserDataError::Store(error) => Self::Store(error),
            other => Self::Internal(other.to_string()),
        }
    }
}
