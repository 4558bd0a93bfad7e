//! Exports, imports, and deletes all data of one user.
//!
//! An export is JSON Lines: a head, the user, dialogues, kept values, turns in the order of the history, and an end
//! with the number of turns. So a truncated file is detected before anything is stored.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    io::{BufRead, Write},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;
use uuid::Uuid;

use banter_stores::{
    Appended, AuditEntry, DialogueId, DialogueRecord, HandOffChange, Import, LastTurn, Millis, NewTurn, News,
    StoreError, Stores, UserId, UserRecord, clock::Clock,
};

use crate::conversations::in_flight;

/// The format version of an export.
const FORMAT: u32 = 1;
/// Turns per read.
const PAGE: u32 = 500;
/// The longest line of an export, in bytes.
const MAX_LINE: u64 = 4 * 1024 * 1024;
/// Why an export, import, or deletion failed.
#[derive(Debug, Error)]
pub enum UserDataError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("there is no user {}", .0.0)]
    Unknown(UserId),
    /// A line is malformed or in the wrong position.
    #[error("line {line}: {reason}")]
    Line {
        /// From 1.
        line: usize,
        reason: String,
    },
    /// Another user has this identity.
    #[error("a user with the identity {provider} {subject} exists already")]
    Taken {
        /// As in `Provider::as_str`.
        provider: String,
        /// E-mail address or sender id.
        subject: String,
    },
    /// An earlier run of the import created the user, and its deletion has begun since.
    #[error("user {} is being deleted", .0.0)]
    Deleting(UserId),
    /// The dialogue has turns that are not from this export.
    #[error("user {} has sent messages since the import began", .0.0)]
    GoneOn(UserId),
}

/// A line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ArchiveLine {
    Export {
        format: u32,
        id: Uuid,
        user: UserId,
        at: Millis,
    },
    User(UserRecord),
    #[serde(rename = "dialog")]
    Dialogue(DialogueRecord),
    Kept {
        values: BTreeMap<String, Value>,
    },
    Turn(Box<NewTurn>),
    End {
        turns: u64,
    },
}

/// The result of an export or import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    pub user: UserId,
    pub turns: u64,
}

/// Writes all data of a user. `progress` receives the number of turns written so far.
pub async fn export(
    stores: &Stores,
    clock: &dyn Clock,
    user: UserId,
    out: &mut (impl Write + Send),
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Moved, UserDataError> {
    let record = stores.users.user_record(user).await?.ok_or(UserDataError::Unknown(user))?;
    let mut put = |line: &ArchiveLine| -> Result<(), UserDataError> {
        let text = serde_json::to_string(line).map_err(std::io::Error::from)?;
        writeln!(out, "{text}")?;
        Ok(())
    };
    put(&ArchiveLine::Export { format: FORMAT, id: Uuid::new_v4(), user, at: clock.now() })?;
    put(&ArchiveLine::User(record))?;
    for dialogue in stores.dialogues.of_user(user).await? {
        put(&ArchiveLine::Dialogue(dialogue))?;
    }
    put(&ArchiveLine::Kept { values: stores.turns.all_kept(user).await? })?;
    let (mut turns, mut after) = (0, None);
    loop {
        let page = stores.turns.page(user, after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for turn in page {
            put(&ArchiveLine::Turn(Box::new(turn)))?;
            turns += 1;
        }
        progress(turns);
    }
    put(&ArchiveLine::End { turns })?;
    out.flush()?;
    audit(stores, clock.now(), "user_exported", user, json!({ "turns": turns })).await?;
    Ok(Moved { user, turns })
}

/// Checks a whole export without storing anything; returns its number of turns.
///
/// # Errors
/// [`UserDataError::Line`] for the first bad line.
pub fn check(input: impl BufRead) -> Result<u64, UserDataError> {
    let (mut turns, mut told, mut last, mut dialogues) = (0, None, 0, Vec::new());
    for (number, line) in lines(input) {
        let bad = |reason: &str| UserDataError::Line { line: number, reason: reason.to_owned() };
        last = number;
        match (number, line?) {
            (1, ArchiveLine::Export { format: FORMAT, .. }) | (2, ArchiveLine::User(_)) => {}
            (1, ArchiveLine::Export { format, .. }) => {
                return Err(bad(&format!("format {format} is not supported; this version reads format {FORMAT}")));
            }
            (1, _) => return Err(bad("an export must begin with its head")),
            (2, _) | (_, ArchiveLine::Export { .. } | ArchiveLine::User(_)) => {
                return Err(bad("the user must be on line 2, and nowhere else"));
            }
            _ if told.is_some() => return Err(bad("nothing may follow the end")),
            (_, ArchiveLine::Dialogue(dialogue)) => dialogues.push(dialogue.id),
            (_, ArchiveLine::Turn(turn)) if !dialogues.contains(&turn.dialogue) => {
                return Err(bad("the turn refers to an unknown dialogue"));
            }
            (_, ArchiveLine::Turn(_)) => turns += 1,
            (_, ArchiveLine::Kept { .. }) => {}
            (_, ArchiveLine::End { turns }) => told = Some(turns),
        }
    }
    match told {
        Some(told) if told == turns => Ok(turns),
        Some(told) => Err(UserDataError::Line {
            line: last,
            reason: format!("the end says {told} turns, but the file has {turns}"),
        }),
        None => {
            Err(UserDataError::Line { line: last + 1, reason: "the end is missing: the file is truncated".to_owned() })
        }
    }
}

/// Stores an export that passed [`check`], with its number of turns. Run again after an interruption, it resumes.
pub async fn import(
    stores: &Stores,
    clock: &dyn Clock,
    input: impl BufRead,
    turns: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Moved, UserDataError> {
    let (mut source, mut user, mut resumed) = (String::new(), None, false);
    let (mut dialogues, mut kept, mut done) = (HashMap::new(), BTreeMap::new(), 0);
    let mut ends: HashMap<DialogueId, LastTurn> = HashMap::new();
    for (number, line) in lines(input) {
        let missing = || UserDataError::Line {
            line: number,
            reason: "this line refers to a user or dialogue that no earlier line has".to_owned(),
        };
        match line? {
            ArchiveLine::Export { id, .. } => source = id.to_string(),
            ArchiveLine::User(record) => match stores.users.import_user(&record, &source).await? {
                Import::New(new) => user = Some(new),
                Import::Resumed(known) => (user, resumed) = (Some(known), true),
                Import::Deleting(user) => return Err(UserDataError::Deleting(user)),
                Import::Taken(identity) => {
                    return Err(UserDataError::Taken { provider: identity.provider, subject: identity.subject });
                }
            },
            ArchiveLine::Dialogue(dialogue) => {
                let id = stores.dialogues.import_dialogue(user.ok_or_else(missing)?, &dialogue).await?;
                dialogues.insert(dialogue.id, id);
            }
            ArchiveLine::Kept { values } => kept = values,
            ArchiveLine::Turn(mut turn) => {
                (turn.user, turn.dialogue) =
                    (user.ok_or_else(missing)?, *dialogues.get(&turn.dialogue).ok_or_else(missing)?);
                done += 1;
                // The last turn carries all kept values, so storing it completes the import.
                turn.kept = if done == turns { std::mem::take(&mut kept) } else { BTreeMap::new() };
                let end = match ends.entry(turn.dialogue) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) if resumed => new.insert(stores.turns.last(turn.dialogue).await?),
                    Entry::Vacant(new) => new.insert(LastTurn::default()),
                };
                import_turn(stores, *turn, end).await?;
                progress(done);
            }
            ArchiveLine::End { .. } => {}
        }
    }
    let user = user.ok_or(UserDataError::Line { line: 2, reason: "the user is missing".to_owned() })?;
    audit(stores, clock.now(), "user_imported", user, json!({ "turns": done, "resumed": resumed })).await?;
    Ok(Moved { user, turns: done })
}

/// Stores a turn, unless an earlier run did; `end` is the end of its dialogue so far.
async fn import_turn(stores: &Stores, mut turn: NewTurn, end: &mut LastTurn) -> Result<(), UserDataError> {
    if turn.seq <= end.seq {
        return Ok(());
    }
    turn.hand_off = HandOffChange::between(&end.state, &turn.state);
    *end = LastTurn { seq: turn.seq, state: turn.state.clone() };
    let user = turn.user;
    match stores.turns.submit(turn).await?.await? {
        Appended::Stored => Ok(()),
        Appended::Conflict | Appended::Duplicate => Err(UserDataError::GoneOn(user)),
        Appended::Gone | Appended::DialogueGone => Err(UserDataError::Deleting(user)),
    }
}

/// Deletes a user and all of their data from every store. Run again after an interruption, it resumes.
pub async fn delete(stores: &Stores, clock: &dyn Clock, user: UserId) -> Result<(), UserDataError> {
    // First end all authentication as this user, on every server; then remove the data. Remove the user last, so that
    // an interrupted deletion can be recognized.
    let families = stores.users.begin_deletion(user, clock.now()).await?.ok_or(UserDataError::Unknown(user))?;
    for family in families {
        stores.sessions.revoke_family(&family).await?;
    }
    stores.bus.publish(News::UserGone(user)).await?;
    while stores.turns.remove_some(user).await? {}
    tokio::time::sleep(in_flight(stores)).await;
    while stores.turns.remove_some(user).await? {}
    stores.cache.forget(user).await?;
    let entry =
        AuditEntry { at: clock.now(), actor: None, action: "user_deleted", subject: Some(user), detail: json!({}) };
    stores.users.finish_deletion(user, &entry).await?;
    Ok(())
}

async fn audit(
    stores: &Stores,
    at: Millis,
    action: &'static str,
    user: UserId,
    detail: Value,
) -> Result<(), StoreError> {
    stores.users.audit(&AuditEntry { at, actor: None, action, subject: Some(user), detail }).await
}

/// The lines of an export, numbered from 1. Ends after the first error.
fn lines(mut input: impl BufRead) -> impl Iterator<Item = (usize, Result<ArchiveLine, UserDataError>)> {
    let mut number = 0;
    let mut failed = false;
    std::iter::from_fn(move || {
        number += 1;
        let mut text = Vec::new();
        let read = std::io::Read::take(&mut input, MAX_LINE).read_until(b'\n', &mut text);
        let line = match read {
            _ if failed => return None,
            Ok(0) => return None,
            Ok(_) => serde_json::from_slice(&text).map_err(|error| UserDataError::Line {
                line: number,
                reason: format!("not a line of an export: {error}"),
            }),
            Err(error) => Err(error.into()),
        };
        failed = line.is_err();
        Some((number, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"kind":"export","format":1,"id":"00000000-0000-0000-0000-000000000001","user":2,"at":1}
{"kind":"user","created_at":1,"identities":[]}
"#;

    fn check_file(rest: &str, expected: &str) {
        let told = check(format!("{HEAD}{rest}").as_bytes()).map(|turns| turns.to_string());
        let told = told.unwrap_or_else(|error| error.to_string());
        assert!(told.contains(expected), "{rest:?}: {told}");
    }

    #[test]
    fn bad_exports_are_told_by_line() {
        check_file("{\"kind\":\"end\",\"turns\":0}\n", "0");
        check_file("", "line 3: the end is missing");
        check_file("{\"kind\":\"end\",\"turns\":1}\n", "line 3: the end says 1 turns, but the file has 0");
        check_file("{\"kind\":\"end\",\"turns\":0}\n{\"kind\":\"kept\",\"values\":{}}\n", "line 4: nothing may follow");
        check_file("{\"kind\":\"nonsense\"}\n", "line 3: not a line of an export");
        check_file("{\"kind\":\"user\",\"created_at\":1,\"identities\":[]}\n", "line 3: the user must be on line 2");
        check_file("not json\n", "line 3: not a line of an export");
    }
}
