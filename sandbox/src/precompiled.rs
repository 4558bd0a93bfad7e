//! Compiled code on disk, by the hash of the component and of everything that shapes the code. Only files that this user wrote and
//! nobody else can write are believed: they are run as they are.

use std::{
    fs::{self, File, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use wasmtime::{Engine, component::Component};

/// Files that are kept at the most.
const MAX_FILES: usize = 200;

/// Where compiled code is kept.
pub struct Precompiled {
    folder: PathBuf,
    engine_key: u64,
}

impl Precompiled {
    /// A store in a folder, made when it is first needed.
    pub fn new(folder: PathBuf, engine: &Engine) -> Self {
        // Version, target and configuration of wasmtime.
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { folder, engine_key: hasher.finish() }
    }

    fn path(&self, component: &[u8]) -> PathBuf {
        let hash = blake3::hash(component).to_hex();
        self.folder.join(format!("{}-{:016x}.cwasm", &hash[..32], self.engine_key))
    }

    /// The compiled form of a component, if it is there and ours.
    #[expect(
        unsafe_code,
        reason = "compiled code is run as it is; only a file that this user alone could write is taken"
    )]
    pub fn load(&self, engine: &Engine, component: &[u8]) -> Option<Component> {
        let path = self.path(component);
        let mut file = File::open(&path).ok()?;
        if let Err(reason) = check_owner(&file, &self.folder) {
            tracing::warn!(path = %path.display(), reason, "compiled code is not taken, but made anew");
            return None;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        // SAFETY: the bytes come from a file that `check_owner` has seen to be this user's own, in a folder where nobody else can
        // write, and were written by `store`; wasmtime checks its version and configuration itself.
        match unsafe { Component::deserialize(engine, &bytes) } {
            Ok(found) => Some(found),
            Err(error) => {
                tracing::info!(path = %path.display(), %error, "compiled code cannot be used, and is made anew");
                None
            }
        }
    }

    /// Keeps the compiled form of a component. A cache that cannot be written costs time, no more.
    pub fn store(&self, component: &[u8], compiled: &Component) {
        if let Err(error) = self.try_to_store(component, compiled) {
            tracing::warn!(%error, folder = %self.folder.display(), "compiled code is not kept");
        }
    }

    fn try_to_store(&self, component: &[u8], compiled: &Component) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let bytes = compiled.serialize().map_err(io::Error::other)?;
        let path = self.path(component);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{}-{number}.new", std::process::id()));
        // Never through a link, and never into a file that somebody else has made.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(temporary, path)?;
        self.remove_oldest()
    }

    /// Each new build of a plugin leaves a file: the oldest go.
    fn remove_oldest(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let ending = entry.path().extension().map(|ending| ending.to_string_lossy().into_owned());
            if ending.is_some_and(|ending| ending == "cwasm" || ending == "new") {
                files.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        files.sort();
        for (_, path) in files.iter().take(files.len().saturating_sub(MAX_FILES)) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// The file and its folder belong to this process' user, and nobody else may write them.
fn check_owner(file: &File, folder: &std::path::Path) -> Result<(), &'static str> {
    let unreadable = |_| "its owner cannot be told";
    let own = fs::metadata("/proc/self").map_err(unreadable)?.uid();
    let (file, folder) = (file.metadata().map_err(unreadable)?, fs::metadata(folder).map_err(unreadable)?);
    if !file.is_file() {
        return Err("it is no plain file");
    }
    if file.uid() != own || folder.uid() != own {
        return Err("it is somebody else's");
    }
    if (file.mode() | folder.mode()) & 0o022 != 0 {
        return Err("others may write it");
    }
    Ok(())
}
