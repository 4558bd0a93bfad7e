//! The listener in front of the HTTP server, in the same process. Rocket 0.5 has no bound on connections, on heads or
//! on silence, and takes no listener of ours. So it listens on a port of the loopback interface, and what passes this
//! listener is handed on to it, byte by byte.

mod exchange;
mod pipe;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ipnet::IpNet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

pub use exchange::{Exchange, Refusal, RequestBounds};

use crate::config::Config;

/// After this time without a free file descriptor, the next connection is tried.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a client may go on sending after its last answer.
const LINGERING: Duration = Duration::from_secs(3);
/// File descriptors of a connection: the client's, and both ends of the one that we make to ourselves.
const DESCRIPTORS: u64 = 3;
/// File descriptors that the process needs for other things.
const OTHER_DESCRIPTORS: u64 = 256;

/// Bounds on connections.
#[derive(Clone, Debug)]
pub struct ConnectionBounds {
    /// Connections at the same time.
    pub connections: usize,
    /// From one address, unless it is a proxy's. An IPv6 address counts with its /64.
    pub per_address: usize,
    /// Networks of proxies, which limit their clients themselves.
    pub proxies: Vec<IpNet>,
    pub requests: RequestBounds,
}

impl ConnectionBounds {
    /// By the configuration, as far as the process may have so many open files.
    pub fn of(config: &Config) -> Self {
        let limits = &config.limits;
        let possible = open_files().saturating_sub(OTHER_DESCRIPTORS) / DESCRIPTORS;
        let connections = limits.connections.min(usize::try_from(possible).unwrap_or(usize::MAX)).max(1);
        Self {
            connections,
            // One address never takes all.
            per_address: limits.connections_per_address.min((connections / 2).max(1)),
            proxies: config.proxies.clone(),
            requests: RequestBounds {
                head_bytes: limits.head_bytes,
                head_time: Duration::from_secs(limits.head_seconds),
                idle_time: Duration::from_secs(limits.idle_seconds),
                // The server's own limit on the whole body tells more, so it comes first.
                body_silence: Duration::from_secs(limits.body_seconds + 5),
            },
        }
    }
}

/// How many files this process may open, after raising that number as far as it may.
fn open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let now = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    now.current.unwrap_or(u64::MAX)
}

/// The clients behind the connections that this process makes to itself, by the port of our end.
#[derive(Default)]
pub struct Clients {
    by_port: Mutex<HashMap<u16, SocketAddr>>,
}

impl Clients {
    /// The client of a connection from this address; `None` if it did not come through the listener.
    pub fn of(&self, address: SocketAddr) -> Option<SocketAddr> {
        self.by_port().get(&address.port()).copied().filter(|_| address.ip().is_loopback())
    }

    fn by_port(&self) -> MutexGuard<'_, HashMap<u16, SocketAddr>> {
        self.by_port.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes a client for as long as its connection lasts.
struct Noted {
    clients: Arc<Clients>,
    port: u16,
}

impl Noted {
    fn new(clients: &Arc<Clients>, port: u16, client: SocketAddr) -> Self {
        clients.by_port().insert(port, client);
        Self { clients: Arc::clone(clients), port }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.clients.by_port().remove(&self.port);
    }
}

/// A bound port.
pub struct Listener {
    socket: TcpListener,
    bounds: ConnectionBounds,
    clients: Arc<Clients>,
    open: Arc<Mutex<Open>>,
}

/// Open connections.
#[derive(Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One of the open connections.
struct Place {
    open: Arc<Mutex<Open>>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        let left = open.by_address.get(&self.address).map_or(0, |count| count - 1);
        if left == 0 {
            open.by_address.remove(&self.address);
        } else {
            open.by_address.insert(self.address, left);
        }
    }
}

impl Listener {
    /// Binds the configured address; port 0 takes a free one.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn bind(address: SocketAddr, bounds: ConnectionBounds) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        Ok(Self { socket, bounds, clients: Arc::default(), open: Arc::default() })
    }

    /// The address that clients connect to.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub fn clients(&self) -> Arc<Clients> {
        Arc::clone(&self.clients)
    }

    /// Hands connections on to the server at this address until `end`, and the connections that are open then until
    /// the server closes them.
    pub async fn serve(self, server: SocketAddr, end: impl Future<Output = ()>) {
        let mut connections = JoinSet::new();
        let mut end = std::pin::pin!(end);
        loop {
            let accepted = tokio::select! {
                () = &mut end => break,
                accepted = self.socket.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let (client, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Mostly no free file descriptors. Those that are open may end meanwhile.
                    tracing::warn!(%error, "a connection cannot be accepted");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            match self.admit(address.ip()) {
                Ok(place) => {
                    let (clients, bounds) = (Arc::clone(&self.clients), self.bounds.requests);
                    connections.spawn(async move {
                        let _place = place;
                        if let Err(error) = hand_on(client, address, server, &clients, bounds).await {
                            tracing::debug!(%error, "a connection ended");
                        }
                    });
                }
                Err(status) => refuse(&client, status),
            }
        }
        drop(self.socket);
        // The server closes its connections in its own time.
        while connections.join_next().await.is_some() {}
    }

    /// # Errors
    /// The status line of the refusal.
    fn admit(&self, address: IpAddr) -> Result<Place, &'static str> {
        let is_proxy = self.bounds.proxies.iter().any(|network| network.contains(&address.to_canonical()));
        let address = counted(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= self.bounds.connections {
            return Err("503 Service Unavailable");
        }
        let own = open.by_address.get(&address).copied().unwrap_or(0);
        if own >= self.bounds.per_address && !is_proxy {
            return Err("429 Too Many Requests");
        }
        open.all += 1;
        open.by_address.insert(address, own + 1);
        Ok(Place { open: Arc::clone(&self.open), address })
    }
}

/// An IPv4 address as it is, an IPv6 address with its /64, because one household has a whole /64.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

async fn hand_on(
    mut client: TcpStream,
    address: SocketAddr,
    server: SocketAddr,
    clients: &Arc<Clients>,
    bounds: RequestBounds,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut upstream = TcpStream::connect(server).await?;
    upstream.set_nodelay(true)?;
    let _noted = Noted::new(clients, upstream.local_addr()?.port(), address);
    match pipe::run(&mut client, &mut upstream, bounds).await? {
        None => {}
        Some(Refusal::BadHead) => refuse(&client, "400 Bad Request"),
        Some(Refusal::LongHead) => refuse(&client, "431 Request Header Fields Too Large"),
        Some(Refusal::Late) => refuse(&client, "408 Request Timeout"),
        Some(Refusal::Idle) => return Ok(()),
    }
    linger(&mut client).await
}

/// Ends a connection so that the client can read the last answer: what it still sends is read and thrown away, because
/// the operating system would reset a connection with unread bytes (RFC 9112, section 9.6).
async fn linger(client: &mut TcpStream) -> io::Result<()> {
    client.shutdown().await?;
    // A client that sends for longer loses its answer.
    let _ = timeout(LINGERING, tokio::io::copy(client, &mut tokio::io::sink())).await;
    Ok(())
}

/// Writes an answer without a body, if it can be written at once. The connection ends.
fn refuse(client: &TcpStream, status: &str) {
    let retry = if status.starts_with("429") || status.starts_with("503") { "Retry-After: 1\r\n" } else { "" };
    let answer = format!("HTTP/1.1 {status}\r\n{retry}Connection: close\r\nContent-Length: 0\r\n\r\n");
    // A client that cannot even take this gets nothing.
    let _ = client.try_write(answer.as_bytes());
}
