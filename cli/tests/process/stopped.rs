//! A graceful stop: in-flight turns finish.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::Command,
    thread,
    time::Duration,
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

/// Whether the server has read all requests, which takes a while on a busy machine.
fn all_are_read(streams: &[TcpStream]) -> bool {
    let clients: Vec<u16> = streams.iter().map(|stream| stream.local_addr().unwrap().port()).collect();
    let server = streams[0].peer_addr().unwrap().port();
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let established = |row: &Vec<&str>| row[3] == "01" && port(row[1]) == server && clients.contains(&port(row[2]));
    let unread: Vec<&str> = rows.filter(established).map(|row| row[4].split(':').nth(1).unwrap()).collect();
    unread.len() == streams.len() && unread.iter().all(|bytes| usize::from_str_radix(bytes, 16).unwrap() == 0)
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
    while !all_are_read(&streams) {
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
