//! Sign-in by Google, and the cookie session that it opens.

use std::sync::Arc;

use banter_stores::Profile;
use rocket::{State, get, http::CookieJar, post, serde::json::Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    accounts::{AccountError, Keeping, VerifiedIdentity},
    google::GoogleError,
    web::{
        app::App,
        body::Body,
        context::RequestContext,
        cookie,
        guard::{LoggedIn, User},
        problem::{Problem, RequestError},
    },
};

#[derive(Deserialize, ToSchema)]
pub struct GoogleRequest {
    /// An ID token of Google.
    #[schema(required)]
    token: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct SignedIn {
    /// `successful`.
    status: &'static str,
    /// Empty if Google has not verified it.
    email: String,
    given_name: String,
    family_name: String,
    /// A URL.
    picture: String,
}

#[derive(Serialize, ToSchema)]
pub struct Me {
    /// `ok`.
    server: &'static str,
    /// One entry: the user.
    content: [Shown; 1],
}

/// How a user is shown. The values are empty without a Google account.
#[derive(Serialize, ToSchema)]
pub struct Shown {
    given_name: String,
    family_name: String,
    /// A URL.
    picture: String,
}

#[derive(Serialize, ToSchema)]
pub struct Done {
    /// `ok`.
    server: &'static str,
}

/// Sign in by Google.
///
/// Opens a session of a day in the cookie `access_token`. An unknown account creates a user, or joins the user of its
/// verified address.
#[utoipa::path(
    tag = "dialogues",
    security(()),
    request_body = GoogleRequest,
    responses(
        (status = 200, description = "The account", body = SignedIn, headers(("Set-Cookie", description = "The session"))),
        Body<GoogleRequest>, GoogleError, AccountError,
    ),
)]
#[post("/create/users", data = "<body>")]
pub async fn sign_in(
    body: Body<GoogleRequest>,
    cookies: &CookieJar<'_>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<SignedIn>, Problem> {
    let token = body.value.token.filter(|token| !token.trim().is_empty()).ok_or(RequestError::MissingToken)?;
    let account = context.run(app.google.verify(token.trim())).await?;
    let (email, Profile { given_name, family_name, picture }) =
        (account.email.clone().unwrap_or_default(), account.profile.clone());
    let pair = context.run(app.accounts.issue(VerifiedIdentity::Google(account), Keeping::Cookie)).await?;
    cookies.add(cookie::session(app, pair.access));
    Ok(Json(SignedIn { status: "successful", email, given_name, family_name, picture }))
}

/// Show the user of this session.
#[utoipa::path(
    tag = "dialogues",
    security(("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "The user", body = Me), User),
)]
#[get("/me")]
pub async fn me(user: User, context: RequestContext, app: &State<Arc<App>>) -> Result<Json<Me>, Problem> {
    let Profile { given_name, family_name, picture } = context.run(app.queries.profile(user.0)).await?;
    Ok(Json(Me { server: "ok", content: [Shown { given_name, family_name, picture }] }))
}

/// End this log-in, at once and on every server.
#[utoipa::path(
    tag = "dialogues",
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The session has ended", body = Done, headers(("Set-Cookie", description = "No session"))),
        LoggedIn,
    ),
)]
#[post("/logout")]
pub async fn log_out(
    user: LoggedIn,
    cookies: &CookieJar<'_>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Done>, Problem> {
    context.run(app.accounts.log_out(&user.0)).await?;
    cookies.add(cookie::no_session(app));
    Ok(Json(Done { server: "ok" }))
}
