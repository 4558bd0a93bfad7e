//! Time to make a turn durable with `fsync` and with `fdatasync`, on the file system of a folder:
//! `bench/sync [FOLDER] [--json]`.
//!
//! On a journaling file system, `fsync` also waits for the journal, because each write changes the file's modification
//! time. Therefore SQLite is built with `fdatasync` (`.cargo/config.toml`).

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use banter_bench::{fail, metrics::percentile, root};
use clap::Parser;
use serde_json::json;

/// Pages that a turn writes to the write-ahead log, each with a header.
const PAGES: usize = 6;
const PAGE: usize = 4_096;
const HEADER: usize = 24;
/// Bytes after which the log starts over.
const LOG: usize = 4 << 20;
const TURNS: usize = 300;
/// The pause between turns, as when one person writes; longer than the resolution of file times.
const PAUSE: Duration = Duration::from_millis(6);

#[derive(Parser)]
struct Arguments {
    /// A folder on the file system to measure [default: .cache of the project].
    folder: Option<PathBuf>,
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let folder = arguments.folder.unwrap_or_else(|| root().join(".cache"));
    let (fsync_us, fdatasync_us) =
        measure(&folder).unwrap_or_else(|error| fail(&format!("{}: {error}", folder.display())));
    let ratio = fsync_us / fdatasync_us;
    if arguments.json {
        println!("{}", json!({ "fsync_us": fsync_us, "fdatasync_us": fdatasync_us, "ratio": ratio }));
        return;
    }
    println!("{:<28} {:>10} {:>13} {:>8}", "", "fsync µs", "fdatasync µs", "ratio");
    println!("{:<28} {fsync_us:>10.0} {fdatasync_us:>13.0} {ratio:>8.2}", "a turn's writes, median");
}

/// Medians of both methods in microseconds. They alternate, each with its own log.
fn measure(folder: &Path) -> io::Result<(f64, f64)> {
    let (mut one, mut other) = (Log::new(folder)?, Log::new(folder)?);
    let (mut fsync, mut fdatasync) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        thread::sleep(PAUSE);
        fsync.push(one.write_turn(File::sync_all)?);
        thread::sleep(PAUSE);
        fdatasync.push(other.write_turn(File::sync_data)?);
    }
    Ok((percentile(&mut fsync, 0.5), percentile(&mut fdatasync, 0.5)))
}

/// An unnamed temporary file of full length, which is overwritten from start to end repeatedly.
struct Log {
    file: File,
    place: usize,
}

impl Log {
    fn new(folder: &Path) -> io::Result<Self> {
        let mut file = tempfile::tempfile_in(folder)?;
        file.write_all(&vec![1; LOG])?;
        file.sync_all()?;
        Ok(Self { file, place: 0 })
    }

    /// Writes one turn; returns the time in microseconds.
    fn write_turn(&mut self, sync: impl Fn(&File) -> io::Result<()>) -> io::Result<f64> {
        let length = PAGES * (HEADER + PAGE);
        if self.place + length > LOG {
            self.place = 0;
        }
        let start = Instant::now();
        self.file.seek(SeekFrom::Start(self.place as u64))?;
        for page in 0..PAGES {
            self.file.write_all(&[page as u8; HEADER])?;
            self.file.write_all(&[page as u8; PAGE])?;
        }
        sync(&self.file)?;
        self.place += length;
        Ok(start.elapsed().as_secs_f64() * 1e6)
    }
}
