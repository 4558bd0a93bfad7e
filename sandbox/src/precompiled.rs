//! Compiled code on disk, keyed by the hash of the component and of everything that affects the code. The files are
//! executed as they are, so only files that this user owns and nobody else can write are trusted, and only if their
//! bytes have the hash that their name says: a bad disk changes code, too.

use std::{
    fs::{self, File, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use wasmtime::{Engine, component::Component};

/// Limit on the number of files.
const MAX_FILES: usize = 200;

/// A folder with compiled code.
pub struct Precompiled {
    folder: PathBuf,
    engine_key: u64,
}

impl Precompiled {
    /// A store in a folder, which is created when first needed.
    pub fn new(folder: PathBuf, engine: &Engine) -> Self {
        // Covers the version, target and configuration of wasmtime.
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { folder, engine_key: hasher.finish() }
    }

    /// The beginning of the name of a component's file. The hash of the compiled code follows.
    fn beginning(&self, component: &[u8]) -> String {
        format!("{}-{:016x}-", &blake3::hash(component).to_hex()[..32], self.engine_key)
    }

    /// The files of a component. There are several after one was damaged, or if somebody else put one there.
    fn find(&self, component: &[u8]) -> Vec<PathBuf> {
        let beginning = self.beginning(component);
        let files = fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        let own = files.filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(&beginning) && name.ends_with(".cwasm")
        });
        own.collect()
    }

    /// The compiled form of a component, if it is stored and trusted.
    pub fn load(&self, engine: &Engine, component: &[u8]) -> Option<Component> {
        self.find(component).iter().find_map(|path| self.load_file(engine, path))
    }

    /// The compiled form in a file, if it is trusted.
    #[expect(
        unsafe_code,
        reason = "compiled code is run as it is; only a file that this user alone could write is taken"
    )]
    fn load_file(&self, engine: &Engine, path: &Path) -> Option<Component> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the stored compiled code cannot be read; compiling again");
                return None;
            }
        };
        if let Err(reason) = check_owner(&file, &self.folder) {
            tracing::warn!(path = %path.display(), reason, "not using the stored compiled code; compiling again");
            return None;
        }
        if let Err(reason) = check_hash(&mut file, path) {
            tracing::warn!(path = %path.display(), reason, "not using the stored compiled code; compiling again");
            // Its successor has the same beginning.
            let _ = fs::remove_file(path);
            return None;
        }
        // The file is mapped, not kept: of a component of 40 MiB, only the code that runs is in memory.
        // SAFETY: `check_owner` has verified that the file belongs to this user and lies in a folder where nobody else
        // can write, so its bytes were written by `store`, which never changes a file; `check_hash` has verified that the
        // disk has not changed them either. wasmtime itself checks its version and configuration.
        match unsafe { Component::deserialize_file(engine, path) } {
            Ok(found) => Some(found),
            Err(error) => {
                tracing::info!(path = %path.display(), %error, "the stored compiled code cannot be used; compiling again");
                None
            }
        }
    }

    /// Stores the compiled form of a component. A failed write only costs time later, so it is logged.
    pub fn store(&self, component: &[u8], compiled: &Component) {
        if let Err(error) = self.try_to_store(component, compiled) {
            tracing::warn!(%error, folder = %self.folder.display(), "cannot save the compiled code");
        }
    }

    fn try_to_store(&self, component: &[u8], compiled: &Component) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let bytes = compiled.serialize().map_err(io::Error::other)?;
        let name = format!("{}{}.cwasm", self.beginning(component), hash_of(&bytes));
        let path = self.folder.join(name);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{}-{number}.new", std::process::id()));
        // Never follow a link or write to a file that someone else created.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(temporary, path)?;
        self.remove_oldest()
    }

    /// Removes the oldest files above the limit, because each new build of a plugin adds one.
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

fn hash_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..32].to_owned()
}

/// Checks that the bytes of a file have the hash in its name.
fn check_hash(file: &mut File, path: &Path) -> Result<(), &'static str> {
    let mut hasher = blake3::Hasher::new();
    io::copy(file, &mut hasher).map_err(|_| "it cannot be read")?;
    let hash = &hasher.finalize().to_hex()[..32];
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    if name.ends_with(hash) { Ok(()) } else { Err("it is damaged") }
}

/// Checks that the file and its folder belong to this process's user, and that nobody else can write to them.
fn check_owner(file: &File, folder: &std::path::Path) -> Result<(), &'static str> {
    let unreadable = |_| "its owner is unknown";
    let own = fs::metadata("/proc/self").map_err(unreadable)?.uid();
    let (file, folder) = (file.metadata().map_err(unreadable)?, fs::metadata(folder).map_err(unreadable)?);
    if !file.is_file() {
        return Err("it is not a regular file");
    }
    if file.uid() != own || folder.uid() != own {
        return Err("it belongs to another user");
    }
    if (file.mode() | folder.mode()) & 0o022 != 0 {
        return Err("other users can write to it");
    }
    Ok(())
}
