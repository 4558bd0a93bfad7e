//! A proxy that sends each request to the next of two servers.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

pub struct RoundRobin {
    pub address: String,
    requests: Arc<[AtomicUsize; 2]>,
}

impl RoundRobin {
    /// Listens before these servers, until the process ends.
    pub fn before(servers: [String; 2]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<[AtomicUsize; 2]> = Arc::default();
        let counts = Arc::clone(&requests);
        thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                let (Ok(client), target) = (client, number % 2) else { continue };
                let Ok(server) = TcpStream::connect(servers[target].trim_start_matches("http://")) else { continue };
                counts[target].fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || forward(client, server));
            }
        });
        Self { address, requests }
    }

    /// Requests to each server.
    pub fn requests(&self) -> [usize; 2] {
        self.requests.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

/// Forwards one request, and makes it the last of its connection, so that the next one goes to the other server.
fn forward(mut client: TcpStream, mut server: TcpStream) {
    let (mut head, mut buffer) = (Vec::new(), [0; 16_384]);
    let end = loop {
        let Ok(length @ 1..) = client.read(&mut buffer) else { return };
        head.extend_from_slice(&buffer[..length]);
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let body = head.split_off(end);
    let head = String::from_utf8_lossy(&head).into_owned();
    let kept: Vec<&str> = head.split("\r\n").filter(|line| !line.to_lowercase().starts_with("connection:")).collect();
    let sent = format!("{}\r\nConnection: close", kept.join("\r\n"));
    if server.write_all(sent.as_bytes()).and_then(|()| server.write_all(&body)).is_err() {
        return;
    }
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}
