//! Which files are fixtures: the bot's own, or what the command names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use banter_engine::{
    catalogue::{
        bundle::{Bundle, MAX_FILE_BYTES, MAX_FILES, part_of_botium},
        fault::{Fault, Faults, Place},
    },
    replay::reader::is_shared,
};

use crate::failure::Failure;
use banter_server::config::Config;

/// How files of fixtures end, in whichever case.
const ENDINGS: [&str; 4] = [".yaml", ".yml", ".convo.txt", ".utterances.txt"];

/// The fixtures' files by their paths, as a person would name them. What several fixtures begin with is always there.
///
/// # Errors
/// A path that is not there, is too large, or holds no fixture. What is passed over is told to `faults`.
pub fn collect(
    config: &Config,
    bundle: &Bundle,
    paths: &[PathBuf],
    faults: &mut Faults,
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let mut found = Found { files: BTreeMap::new(), seen: BTreeSet::new(), faults };
    let own = bundle.files.iter().filter(|(path, _)| path.starts_with("fixtures/"));
    for (path, bytes) in own.filter(|(path, _)| paths.is_empty() || is_shared(path)) {
        found.add(&config.bot.join(path), bytes.clone());
    }
    for path in paths {
        let failed = |error: io::Error| {
            Failure::usage(format!("{} cannot be read: {error}", path.display()), "name fixtures or folders of them")
        };
        let beside = path.parent().unwrap_or(Path::new("")).join("shared");
        if beside.is_dir() {
            found.walk(&beside).map_err(failed)?;
        }
        let seen = if path.is_dir() {
            found.walk(path).map_err(failed)?
        } else {
            found.add(path, read(path).map_err(failed)?);
            1
        };
        if seen == 0 {
            let message = format!("there is no fixture in {}", path.display());
            return Err(Failure::usage(message, "fixtures end in .yaml, conversations of Botium in .convo.txt"));
        }
    }
    Ok(found.files)
}

/// Files that are fixtures, each once, by whichever paths it is reached.
struct Found<'a> {
    files: BTreeMap<String, Vec<u8>>,
    seen: BTreeSet<PathBuf>,
    faults: &'a mut Faults,
}

impl Found<'_> {
    fn add(&mut self, path: &Path, bytes: Vec<u8>) {
        // A path that is none any more is told where the file is read.
        let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if self.seen.insert(whole) {
            self.files.insert(label(path), bytes);
        }
    }

    /// How many fixtures a folder holds.
    fn walk(&mut self, folder: &Path) -> io::Result<usize> {
        let mut count = 0;
        let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            // Editors' temporary files begin with a dot.
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                // It could lead in a circle.
                if entry.file_type()?.is_symlink() {
                    let place = Place { file: label(&path), span: 0..0 };
                    let fault = Fault::warning(place, "a link to a folder is not followed");
                    self.faults.push(fault.hint("name the folder itself beside the others"));
                    continue;
                }
                count += self.walk(&path)?;
            } else if let Some(fault) = part_of_botium(&label(&path)) {
                self.faults.push(fault);
            } else if ENDINGS.iter().any(|ending| name.to_lowercase().ends_with(ending)) {
                if self.files.len() >= MAX_FILES {
                    return Err(io::Error::other(format!("there are more than {MAX_FILES} files")));
                }
                let bytes = read(&path).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
                self.add(&path, bytes);
                count += 1;
            }
        }
        Ok(count)
    }
}

/// A path without `./` before it.
pub fn label(path: &Path) -> String {
    path.strip_prefix("./").unwrap_or(path).display().to_string()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let length = fs::metadata(path)?.len();
    if length > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it has {length} bytes, more than {MAX_FILE_BYTES}; split it")));
    }
    fs::read(path)
}
