//! What the chat page and the widget need beside the two older APIs: sessions without a token in the page, guests, and a
//! dialogue's turns page by page.

use std::sync::Arc;

use banter_stores::{DialogueId, DialogueRecord};
use rocket::{Route, State, get, http::CookieJar, post, routes, serde::json::Json};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::{
    dialogues::live::TurnMessage,
    messages::auth::{LoginRequest, TokenResponse},
};
use crate::{
    accounts::{AccountError, Keeping},
    conversations::ConversationError,
    dialogues::MAX_DIALOGUES,
    tokens::Host,
    web::{
        app::App,
        body::Body,
        context::RequestContext,
        cookie,
        guard::{LoggedIn, OwnPage, Site, User},
        problem::{Problem, RequestError},
    },
};

/// Turns of a page: without `limit`, and at most.
const TURNS: (u32, u32) = (30, 100);

pub fn routes() -> Vec<Route> {
    routes![settings, log_in, guest, session, turns, widget_guest]
}

/// The description of this API.
#[derive(OpenApi)]
#[openapi(paths(settings, log_in, guest, session, turns, widget_guest))]
pub struct ApiDescription;

/// What a page shows before anybody has signed in.
#[derive(Serialize, ToSchema)]
struct Settings {
    /// The bot's name.
    bot: String,
    /// The bot's languages, the default first.
    languages: Vec<String>,
    /// Whether a visitor may chat at once.
    guests: bool,
    /// The client id for Google's button; without it, Google sign-in is off.
    #[schema(required)]
    google_client_id: Option<String>,
}

/// Who is signed in, and what they have.
#[derive(Serialize, ToSchema)]
struct SessionState {
    user_id: i64,
    /// Whether the user has no credentials, and so cannot come back after the session.
    guest: bool,
    /// Whether the user may open the console.
    admin: bool,
    /// The default dialogue first.
    dialogs: Vec<OwnDialogue>,
    /// Dialogues that a user may have besides the default one.
    most_dialogs: u32,
}

#[derive(Serialize, ToSchema)]
struct OwnDialogue {
    dialog_id: i64,
    dialog_name: String,
    /// The dialogue of messages that name none. It can be neither renamed nor deleted.
    is_default: bool,
}

impl From<DialogueRecord> for OwnDialogue {
    fn from(record: DialogueRecord) -> Self {
        Self { dialog_id: record.id.0, dialog_name: record.name, is_default: record.is_default }
    }
}

#[derive(Serialize, ToSchema)]
struct Opened {
    /// Whether the user has no credentials, and so cannot come back after the session.
    guest: bool,
}

#[derive(Serialize, ToSchema)]
struct TurnPage {
    /// Oldest first.
    turns: Vec<TurnMessage>,
    /// Whether an answer of the external AI or of a person is awaited.
    waiting: bool,
}

/// What a page shows before anybody has signed in.
#[utoipa::path(
    tag = "visitors",
    security(()),
    responses((status = 200, description = "The settings", body = Settings)),
)]
#[get("/settings")]
fn settings(app: &State<Arc<App>>) -> Json<Settings> {
    let serving = app.follower.line();
    let catalogue = &serving.stable.snapshot.catalogue;
    Json(Settings {
        bot: catalogue.name.clone(),
        languages: catalogue.languages.iter().map(|language| language.code().to_owned()).collect(),
        guests: app.accounts.guests().on_page(),
        google_client_id: app.access.google_client_id.clone(),
    })
}

/// Sign in with e-mail and password, and keep the token in a cookie. An unknown e-mail address creates a user.
#[utoipa::path(
    tag = "visitors",
    security(()),
    request_body = LoginRequest,
    responses(
        (status = 200, description = "The session is open", body = Opened, headers(("Set-Cookie", description = "The session"))),
        OwnPage, Body<LoginRequest>, AccountError,
    ),
)]
#[post("/session/password", data = "<body>")]
async fn log_in(
    _page: OwnPage,
    body: Body<LoginRequest>,
    cookies: &CookieJar<'_>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Opened>, Problem> {
    let LoginRequest { email, password } = body.value;
    let pair = context.run(app.accounts.log_in(&email, password, &context.address, Keeping::Cookie)).await?;
    cookies.add(cookie::session(app, pair.access));
    Ok(Json(Opened { guest: false }))
}

/// Chat at once, without an account. Only in the profile `dev`.
#[utoipa::path(
    tag = "visitors",
    security(()),
    responses(
        (status = 200, description = "The session is open", body = Opened, headers(("Set-Cookie", description = "The session"))),
        OwnPage, AccountError,
    ),
)]
#[post("/session/guest")]
async fn guest(
    _page: OwnPage,
    cookies: &CookieJar<'_>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Opened>, Problem> {
    let pair = context.run(app.accounts.welcome(Host::Page, &context.address, Keeping::Cookie)).await?;
    cookies.add(cookie::session(app, pair.access));
    Ok(Json(Opened { guest: true }))
}

/// Show who is signed in, and their dialogues.
#[utoipa::path(
    tag = "visitors",
    security(("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "The user", body = SessionState), LoggedIn),
)]
#[get("/session")]
async fn session(
    user: LoggedIn,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<SessionState>, Problem> {
    let LoggedIn(log_in) = user;
    let work = async {
        let dialogues = app.dialogues.all(log_in.user).await?;
        Ok::<_, Problem>((dialogues, app.accounts.is_admin(log_in.user).await?))
    };
    let (dialogues, admin) = context.run(work).await?;
    Ok(Json(SessionState {
        user_id: log_in.user.0,
        guest: log_in.guest_of.is_some(),
        admin,
        dialogs: dialogues.into_iter().map(OwnDialogue::from).collect(),
        most_dialogs: MAX_DIALOGUES,
    }))
}

/// Read a page of a dialogue: its last turns, or those before a turn.
#[utoipa::path(
    tag = "visitors",
    security(("cookie" = []), ("bearer" = [])),
    params(
        ("id" = i64, Path, minimum = 1, description = "The dialogue"),
        ("before" = Option<i64>, Query, minimum = 1, description = "Only turns with a smaller number"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Only the newest of them, this many"),
    ),
    responses((status = 200, description = "The turns", body = TurnPage), User, ConversationError),
)]
#[get("/dialogs/<id>/turns?<before>&<limit>")]
async fn turns(
    user: User,
    id: &str,
    before: Option<&str>,
    limit: Option<&str>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<TurnPage>, Problem> {
    let dialogue = id.parse().map(DialogueId).map_err(|_| ConversationError::UnknownDialogue)?;
    let invalid = |name: &str| RequestError::InvalidParameter(name.to_owned());
    let before = before.map(|text| text.parse::<i64>().ok().filter(|seq| *seq > 0).ok_or(invalid("before")));
    let limit =
        limit.map(|text| text.parse::<u32>().ok().filter(|n| (1..=TURNS.1).contains(n)).ok_or(invalid("limit")));
    let (before, limit) = (before.transpose()?, limit.transpose()?.unwrap_or(TURNS.0));
    let (turns, waiting) = context.run(app.feeds.page(user.0, dialogue, before, limit)).await?;
    Ok(Json(TurnPage { turns: turns.into_iter().map(TurnMessage::from).collect(), waiting }))
}

/// Open an account for a visitor of a site that shows the widget.
///
/// The site must be in `guests.origins`. The tokens are good only for requests from its pages.
#[utoipa::path(
    tag = "visitors",
    security(()),
    params(("Origin" = Option<String>, Header, description = "The site; browsers add it")),
    responses((status = 200, description = "The tokens of the guest", body = TokenResponse), AccountError),
)]
#[post("/widget/guest")]
async fn widget_guest(
    site: Site,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<TokenResponse>, Problem> {
    let origin = site.0.ok_or(AccountError::Origin)?;
    let pair = context.run(app.accounts.welcome(Host::Site(origin), &context.address, Keeping::Pair)).await?;
    Ok(Json(pair.into()))
}
