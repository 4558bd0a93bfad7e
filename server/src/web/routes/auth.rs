//! Log-in and refresh.

use std::sync::Arc;

use rocket::{Route, State, post, routes, serde::json::Json};
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use crate::{
    accounts::{AccountError, TokenPair},
    web::{App, body::Body, context::Context, error::ApiError},
};

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    routes![login, refresh]
}

#[derive(Deserialize)]
struct Login {
    email: String,
    password: String,
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: String,
}

#[derive(Serialize)]
struct Pair {
    access_token: String,
    refresh_token: String,
}

impl From<TokenPair> for Pair {
    fn from(pair: TokenPair) -> Self {
        Self { access_token: pair.access, refresh_token: pair.refresh }
    }
}

#[post("/auth/login", data = "<body>")]
async fn login(body: Body<Login>, context: Context, app: &State<Arc<App>>) -> Result<Json<Pair>, ApiError> {
    let Login { email, password } = body.value;
    let pair = app.accounts.log_in(&email, password, &context.address).instrument(context.span).await?;
    Ok(Json(pair.into()))
}

#[post("/auth/refresh", data = "<body>")]
async fn refresh(body: Body<Refresh>, context: Context, app: &State<Arc<App>>) -> Result<Json<Pair>, ApiError> {
    match app.accounts.refresh(&body.value.refresh_token).instrument(context.span).await {
        Ok(pair) => Ok(Json(pair.into())),
        Err(AccountError::Token) => Err(ApiError::InvalidRefreshToken),
        Err(error) => Err(error.into()),
    }
}
