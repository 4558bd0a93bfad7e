//! Follows a bot's folder, for development: each save goes through the gate and, if it passes, is published.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use banter_engine::{catalogue::bundle::Bundle, diagnostic::Diagnostics};
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{CreateKind, ModifyKind, RemoveKind},
};
use tokio::{
    sync::mpsc,
    task::block_in_place,
    time::{sleep, timeout},
};

use super::{
    gate::GateReport,
    releases::Releases,
    terms::{Actor, Published, ReleaseError, Wish},
};

/// Saves within this time of each other count as one change.
const QUIET: Duration = Duration::from_millis(150);
/// The longest wait for a series of saves to end.
const PATIENCE: Duration = Duration::from_secs(2);
/// A refused bot may be half saved, so it is checked once more after this pause.
const SECOND_LOOK: Duration = Duration::from_millis(400);
/// The folders of a bot.
const FOLDERS: [&str; 5] = ["intents", "scripts", "texts", "plugins", "fixtures"];

/// Watches a bot's folder and its subfolders, including those created later.
pub struct Watch {
    folder: PathBuf,
    watcher: RecommendedWatcher,
    changes: mpsc::Receiver<()>,
    /// Other watched files and folders.
    more: Vec<PathBuf>,
}

impl Watch {
    /// Begins to watch a bot's folder, and the files and folders in `more`.
    ///
    /// # Errors
    /// The folder cannot be watched.
    pub fn begin(folder: &Path, more: &[PathBuf]) -> Result<Self, notify::Error> {
        // A capacity of one: changes during a check are merged into one later event.
        let (send, changes) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: Result<Event, notify::Error>| {
            let changed = match event {
                // The kernel's queue was full: something has changed, nobody knows what.
                Ok(event) => event.need_rescan() || changes_a_bot(&event),
                Err(error) => {
                    tracing::warn!(%error, "the watch of the bot's folder may have missed a change; reading the folder again");
                    true
                }
            };
            if changed {
                // If the channel is full, the pending event covers this one.
                let _ = send.try_send(());
            }
        })?;
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        let (folder, more) = (folder.to_owned(), more.to_vec());
        let mut watch = Self { folder, watcher, changes, more };
        watch.watch_folders()?;
        Ok(watch)
    }

    /// Waits for a change, then for quiet. `None` if the watch has ended.
    pub async fn change(&mut self) -> Option<()> {
        self.changes.recv().await?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE
            && let Ok(next) = timeout(QUIET, self.changes.recv()).await
        {
            next?;
        }
        if let Err(error) = self.watch_folders() {
            tracing::warn!(%error, "cannot watch a folder");
        }
        Some(())
    }

    /// Renews the watches, because a folder that was replaced by one with the same name is no longer watched.
    fn watch_folders(&mut self) -> Result<(), notify::Error> {
        let folders = FOLDERS.map(|name| self.folder.join(name));
        for folder in folders.into_iter().chain(self.more.clone()) {
            // The folder may not be watched, so an error is ignored.
            let _ = self.watcher.unwatch(&folder);
            if folder.exists() {
                self.watcher.watch(&folder, RecursiveMode::Recursive)?;
            }
        }
        Ok(())
    }
}

/// Whether an event may change a bot. Reads do not count, because the follower itself reads the folder.
fn changes_a_bot(event: &Event) -> bool {
    !event.kind.is_access() && event.paths.iter().any(|path| matters(path) || moves_a_folder(event.kind, path))
}

/// Whether a folder was created, removed or renamed. A path that is gone can no longer be inspected, so a rename counts
/// if the name has no extension.
fn moves_a_folder(kind: EventKind, path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let is_folder = match kind {
        EventKind::Create(CreateKind::Folder) | EventKind::Remove(RemoveKind::Folder) => true,
        EventKind::Modify(ModifyKind::Name(_)) => path.extension().is_none(),
        _ => false,
    };
    is_folder && !hidden
}

/// Whether a path is a file or a folder of a bot, and not an editor's temporary file.
fn matters(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let ending = [".yaml", ".rhai", ".wasm", ".schema.json", ".convo.txt", ".utterances.txt"]
        .iter()
        .any(|ending| name.ends_with(ending));
    let folder = FOLDERS.contains(&name.as_str());
    (ending || folder) && !name.starts_with('.')
}

/// What became of a change in the folder.
pub enum Change {
    /// It is in use. The duration is from the change to now.
    Published(Box<Published>, Duration),
    /// It did not pass; the version before stays in use.
    Refused(Box<GateReport>),
    /// It could not be tried; the version before stays in use.
    Failed(ReleaseError),
    /// The folder cannot be read.
    Unreadable(PathBuf, io::Error),
}

impl Releases {
    /// Publishes the folder whenever it changes, and reports each result to `say`. Ends when the watch ends.
    pub async fn follow_folder(self: Arc<Self>, mut watch: Watch, report: impl Fn(Change)) {
        let actor = Actor { user: None, name: "watch".to_owned() };
        let mut last = None;
        while watch.change().await.is_some() {
            let begun = Instant::now();
            let Some(mut read) = read(&watch.folder, &report) else { continue };
            if last.as_ref() == Some(&read.0) {
                continue;
            }
            let mut result = self.try_folder(&read, &actor).await;
            if matches!(result, Err(ReleaseError::Refused(_))) {
                sleep(SECOND_LOOK).await;
                let Some(again) = self::read(&watch.folder, &report) else { continue };
                if again.0 != read.0 {
                    read = again;
                    result = self.try_folder(&read, &actor).await;
                }
            }
            last = Some(read.0);
            match result {
                Ok(published) if published.activated => {
                    report(Change::Published(Box::new(published), begun.elapsed()));
                }
                Ok(_) => {}
                Err(ReleaseError::Refused(refusal)) => report(Change::Refused(refusal)),
                Err(error) => report(Change::Failed(error)),
            }
        }
    }

    async fn try_folder(&self, read: &(Bundle, Diagnostics), actor: &Actor) -> Result<Published, ReleaseError> {
        let wish = Wish { message: "saved in the bot's folder".to_owned(), ..Wish::default() };
        self.publish(read.0.clone(), read.1.clone(), &wish, actor, &|_| {}).await
    }
}

fn read(folder: &Path, report: &impl Fn(Change)) -> Option<(Bundle, Diagnostics)> {
    let mut diagnostics = Diagnostics::default();
    match block_in_place(|| Bundle::read(folder, &mut diagnostics)) {
        Ok(bundle) => Some((bundle, diagnostics)),
        Err(error) => {
            report(Change::Unreadable(folder.to_owned(), error));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Longer than a change takes to be noticed.
    const LONG: Duration = Duration::from_millis(1_000);

    #[tokio::test]
    async fn who_follows_a_folder_does_not_follow_their_own_reading() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bot.yaml");
        fs::write(&file, "version: 1").unwrap();
        fs::create_dir(folder.path().join("intents")).unwrap();
        let mut watch = Watch::begin(folder.path(), &[]).unwrap();
        fs::read(&file).unwrap();
        fs::read_dir(folder.path().join("intents")).unwrap().count();
        assert!(timeout(LONG, watch.change()).await.is_err(), "reading counts as a change");
        fs::write(&file, "version: 2").unwrap();
        watch.change().await.unwrap();
    }

    #[tokio::test]
    async fn what_an_editor_keeps_beside_a_file_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let intents = folder.path().join("intents");
        fs::create_dir(&intents).unwrap();
        let mut watch = Watch::begin(folder.path(), &[]).unwrap();
        for name in [".bye.yaml.swp", "bye.yaml~", "4913", ".#bye.yaml"] {
            fs::write(intents.join(name), "half").unwrap();
        }
        assert!(timeout(LONG, watch.change()).await.is_err(), "an editor's file counts as a change");
        fs::write(intents.join("bye.yaml"), "whole").unwrap();
        watch.change().await.unwrap();
    }

    #[tokio::test]
    async fn folders_that_are_replaced_or_moved_are_followed() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [texts, shop] = ["texts", "fixtures/shop"].map(|name| folder.path().join(name));
        fs::create_dir_all(&texts).unwrap();
        fs::create_dir_all(&shop).unwrap();
        fs::write(texts.join("a.yaml"), "a: 1").unwrap();
        let mut watch = Watch::begin(folder.path(), &[]).unwrap();
        fs::remove_dir_all(&texts).unwrap();
        fs::create_dir(&texts).unwrap();
        watch.change().await.unwrap();
        for number in 0..2 {
            fs::write(texts.join("a.yaml"), format!("a: {number}")).unwrap();
            timeout(LONG, watch.change()).await.expect("the new folder is followed").unwrap();
        }
        fs::rename(&shop, elsewhere.path().join("shop")).unwrap();
        timeout(LONG, watch.change()).await.expect("a folder that goes is a change").unwrap();
        fs::rename(elsewhere.path().join("shop"), &shop).unwrap();
        timeout(LONG, watch.change()).await.expect("a folder that comes is a change").unwrap();
    }
}
