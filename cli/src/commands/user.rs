//! `banter export`, `banter import` and `banter delete`: all data of one user. `banter verify`: their address.

use std::{
    fs::{File, OpenOptions},
    io::{BufReader, BufWriter, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use super::{block_on, print};
use banter_server::{
    assembly,
    config::Config,
    user_data::{self, UserDataError},
};
use banter_stores::{
    AuditEntry, Provider, StoreError, Stores, UserId,
    clock::{Clock, SystemClock},
};
use serde_json::json;

use crate::{
    failure::Failure,
    progress::{CountBar, Spinner},
};

/// Writes a user's data to a file or to standard output.
pub(super) fn export(config: &Config, user: &str, out: Option<&Path>) -> Result<u8, Failure> {
    with_stores(config, async |stores| {
        let user = find(stores, user).await?;
        let bar = CountBar::new("turns", None);
        let moved = match out {
            Some(path) => {
                // An interrupted export leaves only a `.part` file; the next export overwrites it.
                let part = path.with_added_extension("part");
                let mut file = private_file(path, &part)?;
                let moved = user_data::export(stores, &SystemClock, user, &mut file, &|turns| bar.show(turns)).await;
                if moved.is_ok() {
                    std::fs::rename(&part, path).map_err(|error| failed(error.into()))?;
                }
                moved
            }
            None if std::io::stdout().is_terminal() => {
                return Err(Failure::usage(
                    "an export contains password hashes and all messages, so it is not written to a terminal",
                    "choose a file with --out, or pipe the output",
                ));
            }
            None => {
                user_data::export(stores, &SystemClock, user, &mut std::io::stdout(), &|turns| bar.show(turns)).await
            }
        };
        drop(bar);
        let moved = moved.map_err(failed)?;
        eprintln!("user {} exported, {} turns", moved.user.0, moved.turns);
        Ok(0)
    })
}

pub(super) fn import(config: &Config, path: &Path) -> Result<u8, Failure> {
    let open = || {
        File::open(path).map(BufReader::new).map_err(|error| {
            Failure::usage(format!("cannot read {}: {error}", path.display()), "use a file written by `banter export`")
        })
    };
    let spinner = Spinner::new(format!("checking {}", path.display()));
    let turns = user_data::check(open()?).map_err(failed)?;
    drop(spinner);
    with_stores(config, async |stores| {
        let bar = CountBar::new("turns", Some(turns));
        let moved = user_data::import(stores, &SystemClock, open()?, turns, &|turns| bar.show(turns)).await;
        drop(bar);
        let moved = moved.map_err(failed)?;
        print(format!("imported as user {}, {} turns", moved.user.0, moved.turns));
        Ok(0)
    })
}

/// Deletes a user; without one, finishes all interrupted deletions.
pub(super) fn delete(config: &Config, user: Option<&str>) -> Result<u8, Failure> {
    with_stores(config, async |stores| {
        let users = match user {
            Some(user) => vec![find_or_unfinished(stores, user).await?],
            None => stores.users.unfinished_deletions().await.map_err(|error| failed(error.into()))?,
        };
        if users.is_empty() {
            print("there are no interrupted deletions");
        }
        for user in users {
            let _spinner = Spinner::new(format!("deleting user {}", user.0));
            user_data::delete(stores, &SystemClock, user).await.map_err(failed)?;
            print(format!("user {} deleted", user.0));
        }
        Ok(0)
    })
}

/// Marks an e-mail address as verified.
pub(super) fn verify(config: &Config, email: &str) -> Result<u8, Failure> {
    let email = email.trim().to_lowercase();
    with_stores(config, async |stores| {
        let store_failed = |error: StoreError| failed(error.into());
        if !stores.users.verify_email(&email).await.map_err(store_failed)? {
            return Err(Failure::usage(
                format!("nobody has the address {email}"),
                "use the address with which the user logs in",
            ));
        }
        let user = find(stores, &email).await?;
        let entry = AuditEntry {
            at: SystemClock.now(),
            actor: None,
            action: "email_verified",
            subject: Some(user),
            detail: json!({ "by": "command" }),
        };
        stores.users.audit(&entry).await.map_err(store_failed)?;
        print(format!("the address of user {} is verified", user.0));
        Ok(0)
    })
}

pub(super) fn with_stores(
    config: &Config,
    work: impl AsyncFnOnce(&Stores) -> Result<u8, Failure>,
) -> Result<u8, Failure> {
    assembly::make_data_folder(config)?;
    block_on(async {
        let backend = assembly::open_backend(config, Arc::new(SystemClock)).await?;
        let result = work(&backend.stores()).await;
        backend.close().await;
        result
    })
}

/// A user by number or e-mail address.
pub(super) async fn find(stores: &Stores, text: &str) -> Result<UserId, Failure> {
    if let Ok(id) = text.parse::<i64>() {
        return Ok(UserId(id));
    }
    let found = stores.users.find_identity(Provider::Password, &text.trim().to_lowercase()).await;
    let found = found.map_err(|error| failed(error.into()))?;
    found
        .map(|identity| identity.user)
        .ok_or_else(|| Failure::usage(format!("there is no user {text}"), "use the user's number or e-mail address"))
}

/// As [`find`]. A user whose deletion has begun no longer has an address, only a number.
async fn find_or_unfinished(stores: &Stores, text: &str) -> Result<UserId, Failure> {
    let user = find(stores, text).await.map_err(|failure| {
        Failure::usage(
            failure.message,
            "use the user's number or e-mail address; --unfinished finishes interrupted deletions",
        )
    })?;
    if user == UserId(1) {
        return Err(Failure::usage("user 1 is the bot and cannot be deleted", "choose another user"));
    }
    Ok(user)
}

/// Creates the private file `part`, later renamed to `path`, which must not exist yet.
fn private_file(path: &Path, part: &Path) -> Result<impl Write + use<>, Failure> {
    let failed = |what: String| Failure::usage(what, "choose a file that does not exist yet");
    if path.exists() {
        return Err(failed(format!("{} already exists", path.display())));
    }
    // What an interrupted export left goes. Whatever else stands there, a link for example, is never written to.
    match std::fs::remove_file(part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed(format!("cannot replace {}: {error}", part.display())));
        }
        _ => {}
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part);
    made.map(BufWriter::new).map_err(|error| failed(format!("cannot create {}: {error}", part.display())))
}

fn failed(error: UserDataError) -> Failure {
    let hint = match &error {
        UserDataError::Store(_) => "run it again when the store responds; it resumes where it stopped",
        UserDataError::Io(_) => "check the file and the free disk space",
        UserDataError::Unknown(_) => "use the user's number or e-mail address",
        UserDataError::Line { .. } => "nothing was stored; export the user again",
        UserDataError::Taken { .. } => "delete that user first with `banter delete`",
        UserDataError::Deleting(_) => "finish its deletion with `banter delete --unfinished`, then import again",
        UserDataError::GoneOn(_) => "delete that user with `banter delete` and import again",
    };
    Failure::usage(error.to_string(), hint)
}
