//! A bot's files in memory. Reading a folder is the only thing here that touches the disk.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use super::fault::{Fault, Faults, Place};

/// A larger file is refused.
pub const MAX_FILE_BYTES: u64 = 2 << 20;
/// More files are refused.
pub const MAX_FILES: usize = 5_000;
/// Folders of a bot, with the ending of the files that count in each.
const FOLDERS: [(&str, &str); 3] = [("intents", ".yaml"), ("scripts", ".rhai"), ("texts", ".yaml")];
const MAX_DEPTH: usize = 4;

/// The files of a bot by their path inside its folder, with `/` between the parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Path to content.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Bundle {
    /// A bundle of texts, for tests and embedded bots.
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect() }
    }

    /// Reads a bot's folder. Files that cannot be taken become faults.
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub fn read(folder: &Path, faults: &mut Faults) -> io::Result<Self> {
        fs::read_dir(folder)?;
        let mut bundle = Self::default();
        bundle.take(folder, "bot.yaml", faults);
        for (name, ending) in FOLDERS {
            bundle.walk(folder, name, ending, MAX_DEPTH, faults);
        }
        Ok(bundle)
    }

    fn walk(&mut self, root: &Path, path: &str, ending: &str, depth: usize, faults: &mut Faults) {
        let Ok(entries) = fs::read_dir(root.join(path)) else { return };
        let mut names: Vec<(String, bool)> = entries
            .filter_map(Result::ok)
            .map(|entry| {
                (entry.file_name().to_string_lossy().into_owned(), entry.file_type().is_ok_and(|kind| kind.is_dir()))
            })
            // Editors' temporary files begin with a dot or end otherwise.
            .filter(|(name, folder)| !name.starts_with('.') && (*folder || name.ends_with(ending)))
            .collect();
        names.sort();
        for (name, folder) in names {
            let inner = format!("{path}/{name}");
            if folder && depth > 0 {
                self.walk(root, &inner, ending, depth - 1, faults);
            } else if !folder {
                self.take(root, &inner, faults);
            }
        }
    }

    fn take(&mut self, root: &Path, path: &str, faults: &mut Faults) {
        let place = || Place { file: path.to_owned(), span: 0..0 };
        if self.files.len() >= MAX_FILES {
            return faults.push(Fault::error(place(), format!("the bot has more than {MAX_FILES} files")));
        }
        let full = root.join(path);
        match fs::metadata(&full) {
            Ok(data) if data.len() > MAX_FILE_BYTES => faults.push(
                Fault::error(place(), format!("the file has {} bytes, more than {MAX_FILE_BYTES}", data.len()))
                    .hint("split it into several files"),
            ),
            Ok(data) if !data.is_file() => faults.push(Fault::error(place(), "this is no plain file")),
            Ok(_) => match read_bounded(&full) {
                Ok(bytes) => {
                    self.files.insert(path.to_owned(), bytes);
                }
                Err(error) => faults.push(Fault::error(place(), format!("the file cannot be read: {error}"))),
            },
            // A missing bot.yaml is reported by the loader, which knows what it is for.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => faults.push(Fault::error(place(), format!("the file cannot be read: {error}"))),
        }
    }
}

/// A file may grow between the look at its length and the reading of it.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it has more than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}
