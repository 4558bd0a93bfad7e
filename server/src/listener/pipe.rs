//! Passes the bytes of one connection on, in both directions, as long as its exchange goes well.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::Notify,
    time::{timeout, timeout_at},
};

use super::exchange::{Exchange, Refusal, RequestBounds};

/// Bytes that are read at once.
const PIECE: usize = 8 * 1024;
/// How long a client may need to take a piece of an answer.
const SLOWEST: Duration = Duration::from_secs(10);

/// How one direction ended.
enum End {
    /// No more bytes come.
    Closed,
    Refused(Refusal),
}

/// The state that both directions share.
struct Shared {
    exchange: Mutex<Exchange>,
    /// Wakes the client's direction when an answer has begun.
    answered: Notify,
}

impl Shared {
    fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes bytes on until both sides have closed, or the client breaks a bound. Returns the refusal that the client may
/// still be told.
///
/// # Errors
/// Those of the connections, and of a client that takes no more bytes.
pub async fn run(client: &mut TcpStream, server: &mut TcpStream, bounds: RequestBounds) -> io::Result<Option<Refusal>> {
    let shared = Shared { exchange: Mutex::new(Exchange::new(bounds, Instant::now())), answered: Notify::new() };
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let mut requests = std::pin::pin!(requests(from_client, to_server, &shared));
    let mut answers = std::pin::pin!(answers(from_server, to_client, &shared));
    let ended = tokio::select! {
        // The server closes when it has nothing more to say.
        ended = &mut answers => return ended.map(|()| None),
        ended = &mut requests => ended?,
    };
    // Nothing more comes from the client, and the server knows: it finishes its answer, and closes.
    match ended {
        // A client may close its half and still read for as long as it likes.
        End::Closed => answers.await.map(|()| None),
        End::Refused(refusal) => {
            timeout(SLOWEST, answers).await.map_err(|_| too_slow())??;
            Ok(shared.exchange().may_refuse().then_some(refusal))
        }
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client takes its answer too slowly")
}

/// Passes the client's bytes on.
async fn requests(mut client: ReadHalf<'_>, mut server: WriteHalf<'_>, shared: &Shared) -> io::Result<End> {
    let mut piece = vec![0; PIECE];
    loop {
        if shared.exchange().awaits_answer() && !begins_to_be_answered(&mut client, shared).await? {
            break;
        }
        let (deadline, refusal) = shared.exchange().deadline();
        match timeout_at(deadline.into(), client.read(&mut piece)).await {
            Ok(read) => match read? {
                0 => break,
                read => {
                    if let Some(ended) = pass_on(&piece[..read], &mut client, &mut server, shared).await? {
                        return Ok(ended);
                    }
                }
            },
            // Bytes of the server may have given it more time, or an answer is awaited now.
            Err(_) if shared.exchange().deadline().0 > Instant::now() => {}
            Err(_) => {
                end(&mut server).await;
                return Ok(End::Refused(refusal));
            }
        }
    }
    end(&mut server).await;
    Ok(End::Closed)
}

/// Passes a piece on, each request in it when the one before is answered. Returns how the direction ends, if it does.
async fn pass_on(
    mut piece: &[u8],
    client: &mut ReadHalf<'_>,
    server: &mut WriteHalf<'_>,
    shared: &Shared,
) -> io::Result<Option<End>> {
    while !piece.is_empty() {
        if shared.exchange().awaits_answer() && !begins_to_be_answered(client, shared).await? {
            end(server).await;
            return Ok(Some(End::Closed));
        }
        let received = shared.exchange().receive(piece, Instant::now());
        let taken = match received {
            Ok(taken) => taken,
            Err(refusal) => {
                end(server).await;
                return Ok(Some(End::Refused(refusal)));
            }
        };
        if server.write_all(&piece[..taken]).await.is_err() {
            // The server has answered without reading all of it.
            return Ok(Some(End::Closed));
        }
        piece = &piece[taken..];
    }
    Ok(None)
}

/// Tells the server that no more bytes come, if it still listens.
async fn end(server: &mut WriteHalf<'_>) {
    // A server that has closed knows.
    let _ = server.shutdown().await;
}

/// Waits until the server's answer begins; `false` if the client closes before. What the client sends meanwhile waits.
async fn begins_to_be_answered(client: &mut ReadHalf<'_>, shared: &Shared) -> io::Result<bool> {
    let mut first = [0];
    let answered = shared.answered.notified();
    let mut answered = std::pin::pin!(answered);
    answered.as_mut().enable();
    if !shared.exchange().awaits_answer() {
        return Ok(true);
    }
    tokio::select! {
        () = &mut answered => Ok(true),
        peeked = client.peek(&mut first) => {
            if peeked? == 0 {
                return Ok(false);
            }
            answered.await;
            Ok(true)
        }
    }
}

/// Passes the server's bytes on.
async fn answers(mut server: ReadHalf<'_>, mut client: WriteHalf<'_>, shared: &Shared) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = server.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        shared.exchange().answer(&piece[..read], Instant::now());
        shared.answered.notify_waiters();
        timeout(SLOWEST, client.write_all(&piece[..read])).await.map_err(|_| too_slow())??;
        shared.exchange().taken(Instant::now());
    }
}
