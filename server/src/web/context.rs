//! The context of one request: its id, start time, log span, client address, and the language of error details.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Instant,
};

use ipnet::IpNet;

use rocket::{
    Request,
    request::{FromRequest, Outcome},
};
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::{app::App, problem::Problem};

#[derive(Debug)]
pub struct Trace {
    /// Also sent as `X-Request-Id` and written on every log line of the request.
    pub id: String,
    pub start: Instant,
    span: OnceLock<Span>,
}

impl Trace {
    /// The request's trace, created on first use.
    pub fn of<'r>(request: &'r Request<'_>) -> &'r Self {
        request.local_cache(|| Self {
            id: Uuid::new_v4().simple().to_string(),
            start: Instant::now(),
            span: OnceLock::new(),
        })
    }
}

impl Trace {
    /// The span of the request's log lines.
    pub fn span(&self) -> Span {
        self.span.get_or_init(|| tracing::info_span!("request", id = %self.id)).clone()
    }
}

impl RequestContext {
    /// The span of the request's log lines, for work that outlives the handler.
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// Runs the work of a request inside its span, so that every log line, errors included, carries the request id.
    pub async fn run<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, Problem>
    where
        Problem: From<E>,
    {
        async { work.await.map_err(Problem::from) }.instrument(self.span.clone()).await
    }
}

/// What handlers need from a request besides its body.
pub struct RequestContext {
    span: Span,
    /// The client's address in the form of a rate-limit key: IPv6 addresses are cut to their /64.
    pub address: String,
    /// The language of error details.
    pub speech: Speech,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for RequestContext {
    type Error = std::convert::Infallible;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Self::Error> {
        let span = Trace::of(request).span();
        Outcome::Success(Self { span, address: address_of(request), speech: Speech::of(request) })
    }
}

/// The client's address, as [`RequestContext::address`] has it.
pub fn address_of(request: &Request<'_>) -> String {
    let proxies = request.rocket().state::<Arc<App>>().map_or(&[][..], |app| &app.access.proxies);
    let forwarded = request.headers().get("X-Forwarded-For");
    request.remote().map_or("unknown".to_owned(), |peer| canonical(client(peer.ip(), forwarded, proxies)))
}

/// The client behind a chain of proxies: from the right, the first address that is not a known proxy. Anyone could have
/// forged what is to the left of it.
fn client<'h>(peer: IpAddr, forwarded: impl Iterator<Item = &'h str>, proxies: &[IpNet]) -> IpAddr {
    let known = |address: IpAddr| proxies.iter().any(|network| network.contains(&address.to_canonical()));
    let told: Vec<&str> = forwarded.flat_map(|header| header.split(',')).map(str::trim).collect();
    let mut address = peer;
    for hop in told.into_iter().rev() {
        if !known(address) {
            break;
        }
        let Ok(next) = hop.parse() else { break };
        address = next;
    }
    address
}

/// One key per sender: an IPv4 address as is, an IPv6 address as its /64, because one household has a whole /64.
fn canonical(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// The language of error details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    English,
    Russian,
}

impl Speech {
    /// Negotiated from `Accept-Language` (RFC 9110, section 12.5.4); English by default.
    pub fn of(request: &Request<'_>) -> Self {
        request.headers().get_one("Accept-Language").map_or(Self::English, Self::parse)
    }

    /// ISO 639-1 code.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Russian => "ru",
        }
    }

    fn parse(header: &str) -> Self {
        let mut best = (0.0f32, Self::English);
        for part in header.split(',').take(32) {
            let mut pieces = part.split(';');
            let tag = pieces.next().unwrap_or("").trim().to_ascii_lowercase();
            let weight = pieces.find_map(|piece| piece.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            let speech = match tag.split('-').next() {
                Some("ru") => Self::Russian,
                Some("en" | "*") => Self::English,
                _ => continue,
            };
            if weight > best.0 {
                best = (weight, speech);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heavier_language_wins() {
        for (header, expected) in [
            ("ru", Speech::Russian),
            ("ru-RU,ru;q=0.9,en;q=0.8", Speech::Russian),
            ("en;q=0.9, ru;q=0.3", Speech::English),
            ("de, ru;q=0.5", Speech::Russian),
            ("de", Speech::English),
            ("ru;q=0", Speech::English),
            ("", Speech::English),
        ] {
            assert_eq!(Speech::parse(header), expected, "{header}");
        }
    }

    #[test]
    fn only_known_proxies_are_believed() {
        let proxies: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec();
        for (peer, forwarded, expected) in [
            ("203.0.113.9", vec!["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.2", vec!["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.2", vec!["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.2", vec!["6.6.6.6", "198.51.100.1, 10.1.1.1"], "198.51.100.1"),
            ("::ffff:10.0.0.2", vec!["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.2", vec!["nonsense"], "10.0.0.2"),
            ("10.0.0.2", vec![], "10.0.0.2"),
        ] {
            let told = client(peer.parse().unwrap(), forwarded.iter().copied(), &proxies);
            assert_eq!(told, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
        }
    }
}
