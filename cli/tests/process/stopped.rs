//! A graceful stop: in-flight turns finish.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{
    commands::run,
    stores::with_urls,
    support::{Running, banter},
};

const CLIENTS: usize = 16;

#[test]
fn in_flight_turns_finish() {
    check(&[]);
}

#[test]
fn in_flight_turns_finish_on_external_stores() {
    with_urls(check);
}

/// An embedded server keeps sessions and limits in memory, so a folder is for one server. After a crash, the folder is
/// free at once.
#[test]
fn an_embedded_folder_is_for_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &[]);
    let second = run(banter(folder.path()).args(["serve", "--port", "0"]));
    assert_eq!(second.code, 2, "{}", second.err);
    assert!(second.err.contains("another server is using it") && second.err.contains("hint:"), "{}", second.err);
    drop(server);
    drop(Running::start(folder.path(), &[]));
}

/// An end of a connection.
struct End {
    local: u16,
    remote: u16,
    unread: usize,
}

/// The established connections of a process.
fn ends(process: u32) -> Vec<End> {
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let own: HashSet<PathBuf> = open.filter_map(|file| fs::read_link(file.ok()?.path()).ok()).collect();
    let number = |digits: &str| usize::from_str_radix(digits, 16).unwrap();
    let port = |address: &str| u16::try_from(number(address.rsplit(':').next().unwrap())).unwrap();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let established = rows.filter(|row| row[3] == "01" && own.contains(Path::new(&format!("socket:[{}]", row[9]))));
    let end = |row: Vec<&str>| End {
        local: port(row[1]),
        remote: port(row[2]),
        unread: number(row[4].split(':').nth(1).unwrap()),
    };
    established.map(end).collect()
}

/// Whether the server has read all requests, which takes a while on a busy machine. Its listener reads them first and
/// hands them on over a connection within the process.
fn all_are_read(process: u32, streams: &[TcpStream]) -> bool {
    let clients: Vec<u16> = streams.iter().map(|stream| stream.local_addr().unwrap().port()).collect();
    let ends = ends(process);
    let is_inner = |end: &End| ends.iter().any(|other| other.local == end.remote && other.remote == end.local);
    let (outer, inner): (Vec<&End>, Vec<&End>) =
        ends.iter().filter(|end| clients.contains(&end.remote) || is_inner(end)).partition(|end| !is_inner(end));
    let all_are_open = outer.len() == streams.len() && inner.len() == 2 * streams.len();
    all_are_open && outer.iter().chain(&inner).all(|end| end.unread == 0)
}

fn check(environment: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Running::start(folder.path(), environment);
    let address = server.address.trim_start_matches("http://").to_owned();
    let mut streams: Vec<TcpStream> = (0..CLIENTS)
        .map(|client| {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let body = format!(r#"{{"sender":"c{client}","message":"where is parcel number {client} that I bought"}}"#);
            let request = format!(
                "POST /webhooks/rest/webhook HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    let late = Instant::now() + Duration::from_secs(60);
    while !all_are_read(server.child.id(), &streams) {
        assert!(Instant::now() < late, "the server does not read the requests");
        thread::sleep(Duration::from_millis(1));
    }
    let told = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(told.success());
    for stream in &mut streams {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line:?}");
    }
    drop(streams);
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}
