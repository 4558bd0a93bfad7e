//! Log-in and refresh.

use std::sync::Arc;

use rocket::{Route, State, post, routes, serde::json::Json};
use serde::{Deserialize, Serialize};

use crate::{
    accounts::TokenPair,
    web::{app::App, body::Body, context::Context, problem::Problem},
};

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
async fn login(body: Body<Login>, context: Context, app: &State<Arc<App>>) -> Result<Json<Pair>, Problem> {
    let Login { email, password } = body.value;
    let pair = context.run(app.accounts.log_in(&email, password, &context.address)).await?;
    Ok(Json(pair.into()))
}

#[post("/auth/refresh", data = "<body>")]
async fn refresh(body: Body<Refresh>, context: Context, app: &State<Arc<App>>) -> Result<Json<Pair>, Problem> {
    Ok(Json(context.run(app.accounts.refresh(&body.value.refresh_token)).await?.into()))
}
