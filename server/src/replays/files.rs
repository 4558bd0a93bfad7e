//! Which files are fixtures: the bot's own, or what the command names.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use banter_engine::{
    catalogue::bundle::{Bundle, MAX_FILE_BYTES, MAX_FILES},
    replay::reader::is_shared,
};

use crate::{config::Config, failure::Failure};

/// The fixtures' files by their paths, as a person would name them. What several fixtures begin with is always there.
///
/// # Errors
/// A path that is not there, is too large, or holds no fixture.
pub fn collect(config: &Config, bundle: &Bundle, paths: &[PathBuf]) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let own = bundle.files.iter().filter(|(path, _)| path.starts_with("fixtures/"));
    let mut files: BTreeMap<String, Vec<u8>> = own
        .filter(|(path, _)| paths.is_empty() || is_shared(path))
        .map(|(path, bytes)| (label(&config.bot.join(path)), bytes.clone()))
        .collect();
    for path in paths {
        let failed = |error: io::Error| {
            Failure::usage(format!("{} cannot be read: {error}", path.display()), "name fixtures or folders of them")
        };
        let beside = path.parent().unwrap_or(Path::new("")).join("shared");
        if beside.is_dir() {
            walk(&beside, &mut files).map_err(failed)?;
        }
        let seen = if path.is_dir() {
            walk(path, &mut files).map_err(failed)?
        } else {
            let bytes = read(path).map_err(failed)?;
            files.insert(label(path), bytes);
            1
        };
        if seen == 0 {
            let message = format!("there is no fixture in {}", path.display());
            return Err(Failure::usage(message, "fixtures end in .yaml, conversations of Botium in .convo.txt"));
        }
    }
    Ok(files)
}

/// A path without `./` before it.
pub fn label(path: &Path) -> String {
    path.strip_prefix("./").unwrap_or(path).display().to_string()
}

/// How many fixtures a folder holds.
fn walk(folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) -> io::Result<usize> {
    let mut seen = 0;
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        // Editors' temporary files begin with a dot. Links could lead in a circle.
        if name.starts_with('.') || entry.file_type()?.is_symlink() {
            continue;
        }
        if path.is_dir() {
            seen += walk(&path, files)?;
        } else if [".yaml", ".yml", ".convo.txt", ".utterances.txt"].iter().any(|ending| name.ends_with(ending)) {
            if files.len() >= MAX_FILES {
                return Err(io::Error::other(format!("there are more than {MAX_FILES} files")));
            }
            files.insert(label(&path), read(&path)?);
            seen += 1;
        }
    }
    Ok(seen)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let length = fs::metadata(path)?.len();
    if length > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it has {length} bytes, more than {MAX_FILE_BYTES}; split it")));
    }
    fs::read(path)
}
