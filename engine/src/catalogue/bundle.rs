//! A bot's files in memory. Only [`Bundle::read`] touches the disk.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use crate::diagnostic::{Diagnostic, Diagnostics, Location};

/// Size limit of a file, in bytes; larger files are refused.
pub const MAX_FILE_BYTES: u64 = 2 << 20;
/// Size limit of a WebAssembly component, in bytes; larger ones are refused.
pub const MAX_COMPONENT_BYTES: u64 = 64 << 20;
/// Limit on the number of files in a bot.
pub const MAX_FILES: usize = 5_000;
/// A bot's folders: name, file ending, and how many folder levels are read below.
pub(super) const FOLDERS: [(&str, &str, usize); 8] = [
    ("intents", ".yaml", MAX_DEPTH),
    ("scripts", ".rhai", MAX_DEPTH),
    ("texts", ".yaml", MAX_DEPTH),
    // Folders below plugins/ hold plugin sources, which are not part of the bot.
    ("plugins", ".wasm", 0),
    ("plugins", ".schema.json", 0),
    ("fixtures", ".yaml", MAX_DEPTH),
    // Botium conversations.
    ("fixtures", ".convo.txt", MAX_DEPTH),
    ("fixtures", ".utterances.txt", MAX_DEPTH),
];
const MAX_DEPTH: usize = 4;

/// A warning for a file that looks as if it should have this ending, but is not read.
fn unread(path: &str, ending: &str) -> Option<Diagnostic> {
    let (why, hint) = match path.to_lowercase() {
        lower if ending == ".yaml" && lower.ends_with(".yml") => {
            ("the file is not read: it ends in .yml", "rename it to .yaml".to_owned())
        }
        lower if lower.ends_with(ending) && !path.ends_with(ending) => {
            ("the file is not read: its ending has capital letters", format!("rename it to end in {ending}"))
        }
        _ if ending == ".convo.txt" => return part_of_botium(path),
        _ => return None,
    };
    Some(Diagnostic::warning(Location { file: path.to_owned(), span: 0..0 }, why).hint(hint))
}

/// A warning for Botium's partial conversations (`.pconvo.txt`), which are not supported.
pub fn part_of_botium(path: &str) -> Option<Diagnostic> {
    let location = Location { file: path.to_owned(), span: 0..0 };
    let diagnostic = Diagnostic::warning(location, "partial conversations of Botium are not supported");
    let is_one = path.to_lowercase().ends_with(".pconvo.txt");
    is_one.then(|| diagnostic.hint("copy its lines into each conversation that includes it"))
}

/// The files of a bot, keyed by path inside its folder; `/` separates path segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Path to content.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Bundle {
    /// A bundle made of texts, for tests and embedded bots.
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect() }
    }

    /// Reads a bot's folder. Files that cannot be read become diagnostics.
    ///
    /// # Errors
    /// If the folder itself cannot be read.
    pub fn read(folder: &Path, diagnostics: &mut Diagnostics) -> io::Result<Self> {
        fs::read_dir(folder)?;
        let mut bundle = Self::default();
        // The loader reports a missing bot.yaml, with a better hint.
        if folder.join("bot.yaml").symlink_metadata().is_ok() {
            bundle.take(folder, "bot.yaml", diagnostics);
        }
        for (name, ending, depth) in FOLDERS {
            bundle.walk(folder, name, ending, depth, diagnostics);
        }
        Ok(bundle)
    }

    fn walk(&mut self, root: &Path, path: &str, ending: &str, depth: usize, diagnostics: &mut Diagnostics) {
        let location = |path: &str| Location { file: path.to_owned(), span: 0..0 };
        let entries = match fs::read_dir(root.join(path)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return diagnostics.push(unreadable(location(path), &error)),
        };
        let mut names: Vec<(String, bool)> = Vec::new();
        for entry in entries {
            match entry.map_err(|error| unreadable(location(path), &error)).and_then(|entry| named(&entry, path)) {
                Ok(found) => names.push(found),
                Err(diagnostic) => diagnostics.push(diagnostic),
            }
        }
        // Editors write temporary files with a leading dot or another ending; both are skipped.
        names.retain(|(name, _)| !name.starts_with('.'));
        names.sort();
        for (name, _) in names.iter().filter(|(_, folder)| !folder) {
            if let Some(diagnostic) = unread(&format!("{path}/{name}"), ending) {
                diagnostics.push(diagnostic);
            }
        }
        names.retain(|(name, folder)| *folder || name.ends_with(ending));
        for (name, folder) in names {
            let inner = format!("{path}/{name}");
            if folder && depth > 0 {
                self.walk(root, &inner, ending, depth - 1, diagnostics);
            } else if folder {
                // Below plugins/ lie sources. Elsewhere the author expects the files to be read, so warn.
                if path.split('/').count() > 1 {
                    let diagnostic =
                        Diagnostic::warning(location(&inner), "the folder is not read: it is nested too deeply");
                    diagnostics.push(diagnostic.hint(format!("folders may be nested at most {MAX_DEPTH} levels deep")));
                }
            } else {
                self.take(root, &inner, diagnostics);
            }
        }
    }

    fn take(&mut self, root: &Path, path: &str, diagnostics: &mut Diagnostics) {
        let location = || Location { file: path.to_owned(), span: 0..0 };
        if self.files.len() >= MAX_FILES {
            let diagnostic = Diagnostic::error(location(), format!("the bot has more than {MAX_FILES} files"));
            return diagnostics.push(diagnostic.hint("merge small files, or remove some"));
        }
        let full = root.join(path);
        let limit = if path.ends_with(".wasm") { MAX_COMPONENT_BYTES } else { MAX_FILE_BYTES };
        match fs::metadata(&full) {
            Ok(data) if data.len() > limit => diagnostics.push(
                Diagnostic::error(location(), format!("the file has {} bytes, more than {limit}", data.len()))
                    .hint("split it into several files"),
            ),
            Ok(data) if !data.is_file() => {
                diagnostics.push(
                    Diagnostic::error(location(), "this is not a regular file")
                        .hint("remove it, or give it another name"),
                );
            }
            Ok(_) => match read_bounded(&full, limit) {
                Ok(bytes) => {
                    self.files.insert(path.to_owned(), bytes);
                }
                Err(error) => diagnostics.push(unreadable(location(), &error)),
            },
            Err(error) => diagnostics.push(unreadable(location(), &error)),
        }
    }
}

/// The name of an entry of `path`, and whether it is a folder. A link to a folder is refused: an author would expect
/// its files to be read.
fn named(entry: &fs::DirEntry, path: &str) -> Result<(String, bool), Diagnostic> {
    let name = entry.file_name();
    let shown = name.to_string_lossy();
    let location = Location { file: format!("{path}/{shown}"), span: 0..0 };
    let kind = entry.file_type().map_err(|error| unreadable(location.clone(), &error))?;
    if kind.is_symlink() && entry.path().is_dir() && !shown.starts_with('.') {
        return Err(Diagnostic::error(location, "links to folders are not followed").hint("put the folder itself here"));
    }
    match name.to_str() {
        Some(name) => Ok((name.to_owned(), kind.is_dir())),
        None => Err(Diagnostic::error(location, "the name of the file is not UTF-8").hint("rename it")),
    }
}

fn unreadable(location: Location, error: &io::Error) -> Diagnostic {
    Diagnostic::error(location, format!("this cannot be read: {error}")).hint("check its owner and permissions")
}

/// Reads at most `limit` bytes: the file may have grown since its size was checked.
fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsStr,
        os::unix::{ffi::OsStrExt, fs::symlink},
    };

    use super::*;

    #[test]
    fn what_cannot_be_read_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let intents = folder.path().join("intents");
        fs::create_dir_all(&intents).unwrap();
        symlink(folder.path(), intents.join("linked")).unwrap();
        symlink("/nowhere.yaml", intents.join("dangling.yaml")).unwrap();
        fs::write(intents.join(OsStr::from_bytes(b"caf\xe9.yaml")), "").unwrap();
        fs::write(intents.join("good.yaml"), "").unwrap();
        let mut diagnostics = Diagnostics::default();
        let bundle = Bundle::read(folder.path(), &mut diagnostics).unwrap();
        assert_eq!(bundle.files.keys().collect::<Vec<_>>(), ["intents/good.yaml"]);
        let found: Vec<String> =
            diagnostics.sorted().iter().map(|found| format!("{}: {}", found.location.file, found.message)).collect();
        let expected = [
            "intents/caf\u{FFFD}.yaml: the name of the file is not UTF-8",
            "intents/dangling.yaml: this cannot be read: No such file or directory (os error 2)",
            "intents/linked: links to folders are not followed",
        ];
        assert_eq!(found, expected);
    }
}
