//! A TCP proxy that breaks connections in the middle of a write.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// A proxy between a server and a store. It runs until the process ends.
pub struct Proxy {
    pub address: SocketAddr,
    cuts: Arc<AtomicUsize>,
    severed: Arc<AtomicBool>,
    clients: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Forwards to `host:port`; `is_write` selects the requests that may be cut.
    pub fn to(target: &str, is_write: fn(&[u8]) -> bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, cuts) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (target, shared) = (target.to_owned(), cuts.clone());
        let (severed, clients) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (closed, list) = (severed.clone(), clients.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                if closed.load(Ordering::SeqCst) {
                    continue;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&target)) else { continue };
                let (to_client, from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let cuts = shared.clone();
                list.lock().unwrap().push(client.try_clone().unwrap());
                thread::spawn(move || requests(client, server, is_write, &cuts));
                thread::spawn(move || answers(from_server, to_client));
            }
        });
        Self { address, cuts, severed, clients }
    }

    /// Ends all connections; refuses new ones if `severed`.
    pub fn sever(&self, severed: bool) {
        self.severed.store(severed, Ordering::SeqCst);
        for client in self.clients.lock().unwrap().drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    /// Breaks the connection of each of the next `writes` writes: half of these writes reach the store in part, half
    /// completely but without an answer.
    pub fn cut(&self, writes: usize) {
        self.cuts.store(writes, Ordering::SeqCst);
    }

    /// Cuts that have not happened yet.
    pub fn pending(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

fn requests(mut client: TcpStream, mut server: TcpStream, is_write: fn(&[u8]) -> bool, cuts: &AtomicUsize) {
    let mut buffer = [0; 65_536];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let take = |left: usize| left.checked_sub(1).filter(|_| is_write(&buffer[..length]));
        let left = cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).unwrap_or(0);
        if left > 0 {
            let whole = left.is_multiple_of(2);
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.write_all(&buffer[..if whole { length } else { length / 2 }]);
            break;
        }
        if server.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Write);
}

fn answers(mut server: TcpStream, mut client: TcpStream) {
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}
