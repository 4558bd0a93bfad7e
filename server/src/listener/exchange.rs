//! What a connection is doing, read from the bytes that pass: which part of a request comes next, and how long it may
//! take. Only heads are parsed; bodies are counted.

use std::time::{Duration, Instant};

use httparse::{EMPTY_HEADER, Error, Request, Status};

/// Fields of a head, at most.
const FIELDS: usize = 100;

/// Bounds on the requests of one connection.
#[derive(Clone, Copy, Debug)]
pub struct RequestBounds {
    /// The size of a request's head in bytes.
    pub head_bytes: usize,
    /// How long a head may take to arrive.
    pub head_time: Duration,
    /// How long a connection may be silent between requests, and a WebSocket at any time.
    pub idle_time: Duration,
    /// How long a body may be silent.
    pub body_silence: Duration,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The head is no HTTP/1 request, or says two things about its body.
    BadHead,
    /// The head is too long or has too many fields.
    LongHead,
    /// The head or the body did not come in time.
    Late,
    /// Nobody asks for anything.
    Idle,
}

/// The part of a request that comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// The head. `begun` is when its first byte came; before, the connection is idle.
    Head { begun: Option<Instant>, bytes: Vec<u8> },
    /// So many bytes of the body.
    Body(u64),
    /// A body whose end is not known.
    Chunks,
    /// The server's answer.
    Answer,
    /// Anything: the connection has changed its protocol.
    Anything,
}

/// One connection's requests and answers.
pub struct Exchange {
    bounds: RequestBounds,
    part: Part,
    /// When a byte last passed, in either direction.
    passed: Instant,
    /// Whether the answer to the current request has begun.
    answered: bool,
}

impl Exchange {
    /// A connection that has just been made: the head of its first request is due.
    pub fn new(bounds: RequestBounds, now: Instant) -> Self {
        Self { bounds, part: Part::Head { begun: Some(now), bytes: Vec::new() }, passed: now, answered: false }
    }

    /// Notes bytes of the client; returns how many of them belong to the current request. The others wait until it is
    /// answered, so that the head of the next request is seen, too.
    ///
    /// # Errors
    /// Why the connection must end.
    pub fn receive(&mut self, all: &[u8], now: Instant) -> Result<usize, Refusal> {
        let mut bytes = all;
        self.passed = now;
        while !bytes.is_empty() {
            match &mut self.part {
                Part::Head { begun, bytes: head } => {
                    begun.get_or_insert(now);
                    let before = head.len();
                    head.extend_from_slice(bytes);
                    let Some(end) = end_of_head(head, before) else {
                        let too_long = head.len() > self.bounds.head_bytes;
                        return if too_long { Err(Refusal::LongHead) } else { Ok(all.len()) };
                    };
                    if end > self.bounds.head_bytes {
                        return Err(Refusal::LongHead);
                    }
                    let next = part_after(&head[..end])?;
                    bytes = &bytes[end - before..];
                    (self.part, self.answered) = (next, false);
                }
                Part::Body(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= taken as u64;
                    bytes = &bytes[taken..];
                    if *left == 0 {
                        self.part = if self.answered { idle() } else { Part::Answer };
                    }
                }
                Part::Answer => return Ok(all.len() - bytes.len()),
                Part::Chunks | Part::Anything => return Ok(all.len()),
            }
        }
        Ok(all.len())
    }

    /// Notes that the client has taken bytes of the server.
    pub fn taken(&mut self, now: Instant) {
        self.passed = now;
    }

    /// Notes bytes of the server.
    pub fn answer(&mut self, mut bytes: &[u8], now: Instant) {
        self.passed = now;
        // An interim answer says that the body is welcome. The final one may come with it.
        while !self.answered && bytes.starts_with(b"HTTP/1.1 100 ") {
            let end = end_of_head(bytes, 0).unwrap_or(bytes.len());
            bytes = &bytes[end..];
            if bytes.is_empty() {
                return;
            }
        }
        let changes_protocol = !self.answered && bytes.starts_with(b"HTTP/1.1 101 ");
        self.answered = true;
        match self.part {
            Part::Answer if changes_protocol => self.part = Part::Anything,
            Part::Answer | Part::Chunks => self.part = idle(),
            Part::Head { .. } | Part::Body(_) | Part::Anything => {}
        }
    }

    /// Whether the server's answer is awaited, so that nothing need be read of the client.
    pub fn awaits_answer(&self) -> bool {
        self.part == Part::Answer
    }

    /// Whether no answer has begun, so that a refusal may still be written.
    pub fn may_refuse(&self) -> bool {
        match self.part {
            Part::Head { .. } => true,
            Part::Body(_) | Part::Chunks => !self.answered,
            Part::Answer | Part::Anything => false,
        }
    }

    /// When the client must have sent something, and why the connection ends otherwise.
    pub fn deadline(&self) -> (Instant, Refusal) {
        let RequestBounds { head_time, idle_time, body_silence, .. } = self.bounds;
        match &self.part {
            Part::Head { begun: Some(begun), .. } => (*begun + head_time, Refusal::Late),
            Part::Body(_) | Part::Chunks => (self.passed + body_silence, Refusal::Late),
            Part::Head { begun: None, .. } | Part::Answer | Part::Anything => (self.passed + idle_time, Refusal::Idle),
        }
    }
}

fn idle() -> Part {
    Part::Head { begun: None, bytes: Vec::new() }
}

/// The length of a whole head; `None` while its end is missing. What is before `searched` has no end.
fn end_of_head(bytes: &[u8], searched: usize) -> Option<usize> {
    // Like the server, take a line feed alone for the end of a line.
    let from = searched.saturating_sub(3);
    (from..bytes.len()).find_map(|at| match &bytes[at..] {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// What follows a head. A request whose body could be read in two ways is refused: a proxy might read it in the other
/// (RFC 9112, section 6.3).
fn part_after(head: &[u8]) -> Result<Part, Refusal> {
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut request = Request::new(&mut fields);
    match request.parse(head) {
        Ok(Status::Complete(_)) => {}
        Err(Error::TooManyHeaders) => return Err(Refusal::LongHead),
        Ok(Status::Partial) | Err(_) => return Err(Refusal::BadHead),
    }
    let values = |name: &'static str| {
        let named = request.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.trim_ascii())
    };
    let lengths: Vec<&[u8]> = values("content-length").collect();
    let codings: Vec<&[u8]> = values("transfer-encoding").collect();
    match (&lengths[..], &codings[..]) {
        ([], []) => Ok(Part::Answer),
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Part::Chunks),
        ([length], []) if length.iter().all(u8::is_ascii_digit) => {
            let length = str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            Ok(match length.ok_or(Refusal::BadHead)? {
                0 => Part::Answer,
                left => Part::Body(left),
            })
        }
        _ => Err(Refusal::BadHead),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: RequestBounds = RequestBounds {
        head_bytes: 400,
        head_time: Duration::from_secs(10),
        idle_time: Duration::from_secs(75),
        body_silence: Duration::from_secs(20),
    };

    fn after(bytes: &[u8]) -> Result<Part, Refusal> {
        let now = Instant::now();
        let mut exchange = Exchange::new(BOUNDS, now);
        exchange.receive(bytes, now)?;
        Ok(exchange.part)
    }

    fn check(fields: &str, expected: Result<Part, Refusal>) {
        assert_eq!(after(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes()), expected, "{fields:?}");
    }

    #[test]
    fn a_head_tells_what_follows() {
        check("", Ok(Part::Answer));
        check("Content-Length: 0\r\n", Ok(Part::Answer));
        check("content-length: 5\r\n", Ok(Part::Body(5)));
        check("Transfer-Encoding: Chunked\r\n", Ok(Part::Chunks));
    }

    #[test]
    fn a_head_that_can_be_read_in_two_ways_is_refused() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 99999999999999999999999\r\n",
            "Content-Length:\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Content-Length: 5\r\n folded: x\r\n",
        ] {
            check(fields, Err(Refusal::BadHead));
        }
        assert_eq!(after(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Err(Refusal::BadHead));
    }

    #[test]
    fn a_head_is_bounded() {
        check(&format!("X: {}\r\n", "x".repeat(500)), Err(Refusal::LongHead));
        assert_eq!(after("x".repeat(401).as_bytes()), Err(Refusal::LongHead), "without an end");
        check(&"A:\r\n".repeat(99), Err(Refusal::LongHead));
        let roomy = RequestBounds { head_bytes: 10_000, ..BOUNDS };
        let mut exchange = Exchange::new(roomy, Instant::now());
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A:\r\n".repeat(FIELDS + 1));
        assert_eq!(exchange.receive(many.as_bytes(), Instant::now()), Err(Refusal::LongHead));
    }

    #[test]
    fn the_next_request_waits_for_the_answer() {
        let now = Instant::now();
        let mut exchange = Exchange::new(BOUNDS, now);
        let first = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab";
        let second = b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
        let both = [&first[..], second].concat();
        assert_eq!(exchange.receive(&both, now), Ok(first.len()));
        exchange.answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", now);
        assert!(!exchange.awaits_answer(), "the final answer came with the interim one");
        assert_eq!(exchange.receive(second, now), Err(Refusal::BadHead));
    }

    #[test]
    fn every_part_has_its_time() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut exchange = Exchange::new(BOUNDS, start);
        assert_eq!(exchange.deadline(), (later(10), Refusal::Late), "a new connection must ask for something");
        exchange.receive(b"POST / HTTP/1.1\r\n", later(4)).unwrap();
        assert_eq!(exchange.deadline(), (later(10), Refusal::Late), "a byte now and then gains no time");
        exchange.receive(b"Content-Length: 9\r\n\r\nabc", later(6)).unwrap();
        assert_eq!(exchange.deadline(), (later(26), Refusal::Late));
        exchange.answer(b"HTTP/1.1 100 Continue\r\n\r\n", later(7));
        exchange.receive(b"defghi", later(8)).unwrap();
        assert!(exchange.awaits_answer() && !exchange.may_refuse());
        exchange.answer(b"HTTP/1.1 200 OK\r\n", later(30));
        assert_eq!(exchange.deadline(), (later(105), Refusal::Idle), "idle from the answer on");
        exchange.answer(b"more of it", later(50));
        assert_eq!(exchange.deadline(), (later(125), Refusal::Idle));
        exchange.receive(b"G", later(60)).unwrap();
        assert_eq!(exchange.deadline(), (later(70), Refusal::Late));
        exchange.receive(b"ET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", later(61)).unwrap();
        exchange.answer(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", later(62));
        exchange.receive(b"\x81\x05hello", later(63)).unwrap();
        assert_eq!(exchange.deadline(), (later(138), Refusal::Idle), "a WebSocket may be silent for a while");
    }

    proptest! {
        /// Where the network cuts does not matter.
        #[test]
        fn pieces_tell_the_same_as_the_whole(
            cuts in proptest::collection::vec(0usize..140, 0..12),
            garbage in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = b"POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 20\r\n\r\n01234567890123456789".to_vec();
            bytes.extend_from_slice(&garbage);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let now = Instant::now();
            let mut exchange = Exchange::new(BOUNDS, now);
            let pieces = cuts.windows(2).try_for_each(|cut| exchange.receive(&bytes[cut[0]..cut[1]], now).map(drop));
            prop_assert_eq!(pieces.map(|()| exchange.part), after(&bytes));
        }

        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = after(&bytes);
        }
    }
}
