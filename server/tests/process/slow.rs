//! A sender that stops in the middle of a body is not waited for.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::support::Running;

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &[("BANTER_LIMITS__BODY_SECONDS", "1")]);
    let mut stream = TcpStream::connect(server.address.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head =
        "POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(br#"{"email":"ann@mail.example""#).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
}
