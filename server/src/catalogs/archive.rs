//! Bundles as tar files, plain or gzipped. Uploads are untrusted, so everything in them is checked.

use std::io::{self, Cursor, Read};

use banter_engine::catalogue::{
    bundle::{Bundle, MAX_FILES},
    manifest::{BundleError, MAX_BUNDLE_BYTES},
};
use flate2::read::MultiGzDecoder;
use tar::{Archive, Builder, EntryType, Header};
use thiserror::Error;

/// The first bytes of gzip (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The two empty blocks that end an archive.
const END: [u8; 1_024] = [0; 1_024];
/// The maximum overhead of tar per file, in bytes: headers and padding.
const OVERHEAD: u64 = 2_048;

/// Why an upload is not a bundle.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The archive cannot be read, or ends too early.
    #[error("cannot read the archive: {0}")]
    Broken(#[from] io::Error),
    /// The contents are not a bot.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// An entry is neither a file nor a folder.
    #[error("{0} is not a plain file: links and devices are refused")]
    Special(String),
}

/// Reads an archive. Folders are skipped, and a leading `./` is removed from paths.
///
/// # Errors
/// It is not an archive, is too large, or contains something that is not a bot's file.
pub fn read(bytes: &[u8]) -> Result<Bundle, ArchiveError> {
    // A small upload may unpack to a huge one, so the unpacked size is bounded.
    let most = MAX_BUNDLE_BYTES + MAX_FILES as u64 * OVERHEAD;
    if !bytes.starts_with(&GZIP) {
        return unpack(bytes);
    }
    // Read to the end, where the checksum is.
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes).take(most + 1).read_to_end(&mut plain)?;
    if plain.len() as u64 > most {
        return Err(BundleError::TooLarge(format!("it unpacks to more than {most} bytes")).into());
    }
    unpack(&plain)
}

fn unpack(bytes: &[u8]) -> Result<Bundle, ArchiveError> {
    // An archive truncated between two files would look like a smaller one.
    if !bytes.ends_with(&END) {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    let mut archive = Archive::new(bytes);
    let mut bundle = Bundle::default();
    for (count, entry) in archive.entries()?.enumerate() {
        let mut entry = entry?;
        if count > 2 * MAX_FILES {
            return Err(BundleError::TooLarge(format!("there are more than {MAX_FILES} files")).into());
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
        match entry.header().entry_type() {
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            EntryType::Regular | EntryType::Continuous => {}
            _ => return Err(ArchiveError::Special(path)),
        }
        banter_engine::catalogue::manifest::check_path(&path)?;
        // A header may claim more bytes than follow.
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        if content.len() as u64 != entry.header().size()? {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        bundle.add(&path, content)?;
    }
    if bundle.files.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it contains no files").into());
    }
    Ok(bundle)
}

/// Writes a bundle as a tar file. Equal bundles give equal bytes.
///
/// # Errors
/// A path is too long for tar.
pub fn write(bundle: &Bundle) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for (path, bytes) in &bundle.files {
        let mut header = Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(EntryType::Regular);
        builder.append_data(&mut header, path, Cursor::new(bytes))?;
    }
    builder.into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn bundle() -> Bundle {
        Bundle::of(&[("bot.yaml", "name: a\n"), ("intents/привет.yaml", "intent: hello\n")])
    }

    fn special(kind: EntryType, path: &str) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        let mut header = Header::new_ustar();
        header.set_size(0);
        header.set_entry_type(kind);
        builder.append_link(&mut header, path, "/etc/passwd").unwrap();
        builder.into_inner().unwrap()
    }

    /// An archive with one raw path, which bypasses the checks of the tar crate.
    fn raw(path: &str) -> Vec<u8> {
        let mut header = Header::new_old();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(1);
        header.set_cksum();
        let mut builder = Builder::new(Vec::new());
        builder.append(&header, &b"x"[..]).unwrap();
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let tar = write(&bundle()).unwrap();
        assert_eq!(read(&tar).unwrap(), bundle());
        assert_eq!(read(&gzip(&tar)).unwrap(), bundle());
        let (one, other) = tar.split_at(700);
        assert_eq!(read(&[gzip(one), gzip(other)].concat()).unwrap(), bundle(), "of several members");
        assert!(read(&[gzip(&tar), b"junk".to_vec()].concat()).is_err());
    }

    #[test]
    fn hostile_archives_are_refused() {
        for path in ["../../etc/passwd", "/etc/passwd", "intents/../../x.yaml", "intents/.x.yaml", "other/x.yaml"] {
            assert!(matches!(read(&raw(path)), Err(ArchiveError::Bundle(BundleError::Path { .. }))), "{path}");
        }
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Fifo] {
            assert!(matches!(read(&special(kind, "intents/x.yaml")), Err(ArchiveError::Special(_))), "{kind:?}");
        }
        for bytes in [
            &b""[..],
            b"no archive",
            &[0x1f, 0x8b, 0, 0],
            &write(&bundle()).unwrap()[..700],
            &write(&bundle()).unwrap()[..1_024],
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    /// Unpacking a megabyte to a gigabyte stops at the limit.
    #[test]
    fn a_bomb_does_not_go_off() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let mut header = Header::new_ustar();
        header.set_path("plugins/bomb.wasm").unwrap();
        header.set_size(1 << 30);
        header.set_entry_type(EntryType::Regular);
        header.set_cksum();
        encoder.write_all(header.as_bytes()).unwrap();
        let zeros = vec![0; 1 << 20];
        (0..1 << 10).for_each(|_| encoder.write_all(&zeros).unwrap());
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 2 << 20, "{}", bomb.len());
        assert!(read(&bomb).is_err());
    }
}
