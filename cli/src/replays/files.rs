//! Collects fixture files: the bot's own, or those named on the command line.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use banter_engine::{
    catalogue::bundle::{Bundle, MAX_FILE_BYTES, MAX_FILES, part_of_botium},
    diagnostic::{Diagnostic, Diagnostics, Location},
    replay::reader::is_shared,
};

use crate::failure::Failure;
use banter_server::config::Config;

/// The endings of fixture files, in any case.
const ENDINGS: [&str; 4] = [".yaml", ".yml", ".convo.txt", ".utterances.txt"];

/// The contents of fixture files by display path. Shared setups are always included. Skipped files are reported in
/// `diagnostics`.
///
/// # Errors
/// A path does not exist, is too large, or contains no fixture.
pub fn collect(
    config: &Config,
    bundle: &Bundle,
    paths: &[PathBuf],
    diagnostics: &mut Diagnostics,
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let mut found = Found { files: BTreeMap::new(), seen: BTreeSet::new(), diagnostics };
    let own = bundle.files.iter().filter(|(path, _)| path.starts_with("fixtures/"));
    for (path, bytes) in own.filter(|(path, _)| paths.is_empty() || is_shared(path)) {
        found.add(&config.bot.join(path), bytes.clone());
    }
    for path in paths {
        let failed = |error: io::Error| {
            Failure::usage(format!("cannot read {}: {error}", path.display()), "choose fixture files or folders")
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
            let message = format!("there are no fixtures in {}", path.display());
            return Err(Failure::usage(message, "fixtures end in .yaml, and Botium conversations in .convo.txt"));
        }
    }
    Ok(found.files)
}

/// The fixture files found so far. A file that several paths lead to is kept once.
struct Found<'a> {
    files: BTreeMap<String, Vec<u8>>,
    seen: BTreeSet<PathBuf>,
    diagnostics: &'a mut Diagnostics,
}

impl Found<'_> {
    fn add(&mut self, path: &Path, bytes: Vec<u8>) {
        // If the path has vanished, reading the file reports it.
        let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if self.seen.insert(whole) {
            self.files.insert(label(path), bytes);
        }
    }

    /// Adds the fixtures of a folder, and returns their number.
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
                // The link could lead in a circle.
                if entry.file_type()?.is_symlink() {
                    let location = Location { file: label(&path), span: 0..0 };
                    let diagnostic = Diagnostic::warning(location, "links to folders are not followed");
                    self.diagnostics.push(diagnostic.hint("pass the folder itself as another argument"));
                    continue;
                }
                count += self.walk(&path)?;
            } else if let Some(diagnostic) = part_of_botium(&label(&path)) {
                self.diagnostics.push(diagnostic);
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
        return Err(io::Error::other(format!("the file has {length} bytes, more than {MAX_FILE_BYTES}; split it")));
    }
    fs::read(path)
}
