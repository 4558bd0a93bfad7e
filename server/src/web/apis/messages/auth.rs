//! Log-in and refresh.

use std::sync::Arc;

use rocket::{State, post, serde::json::Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    accounts::{AccountError, Keeping, TokenPair},
    web::{app::App, body::Body, context::RequestContext, guard::Site, problem::Problem},
};

#[derive(Deserialize, ToSchema)]
pub struct LoginRequest {
    pub email: String,
    #[schema(min_length = 1, max_length = 1024)]
    pub password: String,
}

#[derive(Deserialize, ToSchema)]
pub struct RefreshRequest {
    refresh_token: String,
}

#[derive(Serialize, ToSchema)]
pub struct TokenResponse {
    /// A JWT for the `Authorization` header.
    access_token: String,
    /// Valid once.
    refresh_token: String,
}

impl From<TokenPair> for TokenResponse {
    fn from(pair: TokenPair) -> Self {
        Self { access_token: pair.access, refresh_token: pair.refresh }
    }
}

/// Log in. An unknown e-mail address creates a user.
#[utoipa::path(
    tag = "messages",
    security(()),
    request_body = LoginRequest,
    responses((status = 200, description = "The tokens of the user", body = TokenResponse), Body<LoginRequest>, AccountError),
)]
#[post("/auth/login", data = "<body>")]
pub async fn login(
    body: Body<LoginRequest>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<TokenResponse>, Problem> {
    let LoginRequest { email, password } = body.value;
    let pair = context.run(app.accounts.log_in(&email, password, &context.address, Keeping::Pair)).await?;
    Ok(Json(pair.into()))
}

/// Exchange a refresh token for new tokens.
#[utoipa::path(
    tag = "messages",
    security(()),
    request_body = RefreshRequest,
    responses((status = 200, description = "The new tokens", body = TokenResponse), Body<RefreshRequest>, AccountError),
)]
#[post("/auth/refresh", data = "<body>")]
pub async fn refresh(
    body: Body<RefreshRequest>,
    site: Site,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<TokenResponse>, Problem> {
    let refreshed = app.accounts.refresh(&body.value.refresh_token, site.0.as_deref(), &context.address);
    Ok(Json(context.run(refreshed).await?.into()))
}
