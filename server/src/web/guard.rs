//! Request guards for authentication. A route that takes a [`User`] cannot forget to authenticate.

pub mod admin;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use banter_stores::UserId;
use rocket::{
    Request,
    http::Method,
    request::{FromRequest, Outcome},
};

use sha2::{Digest, Sha256};
use tracing::Instrument;
use utoipa::{
    IntoParams, IntoResponses,
    openapi::{
        ObjectBuilder, RefOr, Required, Response, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use super::{
    app::{App, ChannelAccess},
    body::refuse,
    context::Trace,
    document::problems,
    problem::{Problem, RequestError},
};
use crate::{accounts::AccountError, tokens::LogIn};

/// The cookie that holds a token.
pub const COOKIE: &str = "access_token";

/// A user authenticated by a token in `Authorization` or in the `access_token` cookie.
pub struct User(pub UserId);

/// Like [`User`], with the log-in that the token came from.
pub struct LoggedIn(pub LogIn);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for User {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        match prove(request).instrument(Trace::of(request).span()).await {
            Ok(proven) => Outcome::Success(Self(proven.user)),
            Err(error) => Outcome::Error(refuse(request, error)),
        }
    }
}

/// Like [`User`], for connections that may outlive the log-in: the token can be checked again.
pub struct Token {
    log_in: LogIn,
    text: String,
}

impl Token {
    pub fn user(&self) -> UserId {
        self.log_in.user
    }

    pub fn log_in(&self) -> &LogIn {
        &self.log_in
    }

    /// Whether the token still proves its user.
    pub async fn is_valid(&self, app: &App) -> bool {
        app.accounts.authenticate(&self.text).await.is_ok_and(|proven| proven.user == self.log_in.user)
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Token {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        let proven = prove(request).instrument(Trace::of(request).span()).await;
        match proven.and_then(|log_in| Ok(Self { log_in, text: token_of(request)?.to_owned() })) {
            Ok(token) => Outcome::Success(token),
            Err(error) => Outcome::Error(refuse(request, error)),
        }
    }
}

impl IntoResponses for Token {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        User::responses()
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for LoggedIn {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        match prove(request).instrument(Trace::of(request).span()).await {
            Ok(proven) => Outcome::Success(Self(proven)),
            Err(error) => Outcome::Error(refuse(request, error)),
        }
    }
}

impl IntoResponses for LoggedIn {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        User::responses()
    }
}

impl IntoResponses for User {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([401, 403, 500, 503])
    }
}

async fn prove(request: &Request<'_>) -> Result<LogIn, Problem> {
    let app = app(request)?;
    let proven = app.accounts.authenticate(token_of(request)?).await?;
    let by_cookie = !request.headers().contains("Authorization");
    // Browsers attach cookies to requests and WebSockets of other sites, but those sites cannot forge `Origin`.
    let may_act = request.method() == Method::Post || request.headers().contains("Upgrade");
    if by_cookie && may_act && !is_own_origin(request, app) {
        return Err(RequestError::ForeignOrigin.into());
    }
    // Browsers add no origin when a page reads from its own server.
    let own = host_of(request).filter(|_| request.method() == Method::Get).map(|host| {
        let scheme = if app.access.secure_cookies { "https" } else { "http" };
        format!("{scheme}://{host}")
    });
    let origin = request.headers().get_one("Origin").or(own.as_deref());
    app.accounts.check_origin(&proven, origin)?;
    Ok(proven)
}

/// A POST of this server's own page, or of the configured front end.
pub struct OwnPage;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for OwnPage {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        match app(request) {
            Ok(app) if is_own_origin(request, app) => Outcome::Success(Self),
            Ok(_) => Outcome::Error(refuse(request, RequestError::ForeignOrigin)),
            Err(problem) => Outcome::Error(refuse(request, problem)),
        }
    }
}

impl IntoResponses for OwnPage {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([403, 500])
    }
}

/// The site that a browser asks for, by `Origin`.
pub struct Site(pub Option<String>);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Site {
    type Error = std::convert::Infallible;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Self::Error> {
        Outcome::Success(Self(request.headers().get_one("Origin").map(str::to_owned)))
    }
}

/// A user who sends a message. Guests may send only so many.
pub struct Sender(pub UserId);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Sender {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        let admitted = async {
            let log_in = prove(request).await?;
            app(request)?.accounts.admit(&log_in).await?;
            Ok::<_, Problem>(log_in.user)
        };
        match admitted.instrument(Trace::of(request).span()).await {
            Ok(user) => Outcome::Success(Self(user)),
            Err(problem) => Outcome::Error(refuse(request, problem)),
        }
    }
}

impl IntoResponses for Sender {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        AccountError::responses()
    }
}

/// The token in `Authorization`, else in the cookie.
fn token_of<'r>(request: &'r Request<'_>) -> Result<&'r str, RequestError> {
    let token = match request.headers().get_one("Authorization") {
        Some(header) => bearer(header),
        None => request.cookies().get(COOKIE).map(|cookie| cookie.value()),
    };
    token.ok_or(RequestError::Unauthorized)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn is_own_origin(request: &Request<'_>, app: &App) -> bool {
    let Some(origin) = request.headers().get_one("Origin") else { return false };
    let own =
        host_of(request).is_some_and(|host| origin == format!("http://{host}") || origin == format!("https://{host}"));
    own || app.access.front.as_deref() == Some(origin)
}

/// Whether the request's host is localhost or a loopback address.
fn is_local(request: &Request<'_>) -> bool {
    let Some(host) = host_of(request) else { return true };
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host.as_str(), |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The host that the client asked for.
fn host_of(request: &Request<'_>) -> Option<String> {
    request.headers().get_one("Host").map(str::to_owned).or_else(|| request.host().map(ToString::to_string))
}

/// The client's `Idempotency-Key`, if it sent one.
pub struct IdempotencyKey(pub Option<String>);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for IdempotencyKey {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        let Some(key) = request.headers().get_one("Idempotency-Key") else { return Outcome::Success(Self(None)) };
        if !is_key(key) {
            return Outcome::Error(refuse(request, RequestError::InvalidIdempotencyKey));
        }
        Outcome::Success(Self(Some(key.to_owned())))
    }
}

impl IntoResponses for IdempotencyKey {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([409, 422])
    }
}

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "1 to 64 visible ASCII characters. A repeat within 24 hours gets the first answer.";
        vec![header("Idempotency-Key", description)]
    }
}

pub fn is_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= 64 && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A client of the REST channel. If the channel has a key, it comes as `?token=` or as a Bearer token.
pub struct ChannelClient {
    /// Names the key without showing it; empty without one.
    pub key: String,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for ChannelClient {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        let allowed = app(request).and_then(|app| match &app.access.channel {
            ChannelAccess::Off => Err(RequestError::NotFound.into()),
            // Keep out pages of other sites, and DNS rebinding: foreign names that resolve to this machine.
            ChannelAccess::Open if request.headers().contains("Origin") && !is_own_origin(request, app) => {
                Err(RequestError::ForeignOrigin.into())
            }
            ChannelAccess::Open if !is_local(request) => Err(RequestError::ForeignOrigin.into()),
            ChannelAccess::Open => Ok(String::new()),
            ChannelAccess::Key(key) => {
                let query = request.query_value::<&str>("token").and_then(Result::ok);
                let header = request.headers().get_one("Authorization").and_then(bearer);
                let given = query.or(header).ok_or(RequestError::Unauthorized)?;
                if key.matches(given) { Ok(fingerprint(given)) } else { Err(RequestError::Unauthorized.into()) }
            }
        });
        match allowed {
            Ok(key) => Outcome::Success(Self { key }),
            Err(error) => Outcome::Error(refuse(request, error)),
        }
    }
}

/// Tells keys apart in rate limits.
fn fingerprint(key: &str) -> String {
    Sha256::digest(key).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

impl IntoResponses for ChannelClient {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([401, 403, 404])
    }
}

/// A client with the health key: in `X-Health-Key`, or as a Bearer token, which is easier for monitors.
pub struct HealthClient;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for HealthClient {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        let as_bearer = || request.headers().get_one("Authorization").and_then(bearer);
        let given = request.headers().get_one("X-Health-Key").or_else(as_bearer).unwrap_or("");
        let known = app(request).is_ok_and(|app| app.access.health_key.as_ref().is_some_and(|key| key.matches(given)));
        if known { Outcome::Success(Self) } else { Outcome::Error(refuse(request, RequestError::WrongKey)) }
    }
}

impl IntoResponses for HealthClient {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([403, 500])
    }
}

/// The external AI, with its key in `X-Messages-Key`.
pub struct AnswererClient;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for AnswererClient {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        let given = request.headers().get_one("X-Messages-Key").unwrap_or("");
        let known =
            app(request).is_ok_and(|app| app.access.answerer_key.as_ref().is_some_and(|key| key.matches(given)));
        if known { Outcome::Success(Self) } else { Outcome::Error(refuse(request, RequestError::WrongKey)) }
    }
}

impl IntoResponses for AnswererClient {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([403, 500])
    }
}

/// An optional header of a request, for the annotation of a route.
pub fn header(name: &str, description: &str) -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    let header = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(Required::False);
    header.description(Some(description)).schema(Some(text)).build()
}

/// What routes reach.
pub(super) fn app<'r>(request: &'r Request<'_>) -> Result<&'r Arc<App>, Problem> {
    request.rocket().state::<Arc<App>>().ok_or_else(|| Problem::internal("the routes have no use cases"))
}
