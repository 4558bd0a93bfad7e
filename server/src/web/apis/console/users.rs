//! Users: who they are, their role, their data, and their deletion.

use std::sync::Arc;

use banter_stores::UserId;
use rocket::{State, get, http::ContentType, post, serde::json::Json, tokio::fs::File};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    console::{ConsoleError, UserSummary},
    web::{
        app::App,
        body::Body,
        context::RequestContext,
        guard::admin::{self, Admin},
        problem::Problem,
    },
};

#[derive(Serialize, ToSchema)]
pub struct ShownUser {
    user_id: i64,
    /// In milliseconds since 1970.
    created_at: i64,
    /// How the user signs in; no secrets.
    identities: Vec<ShownIdentity>,
    admin: bool,
    dialogs: usize,
}

#[derive(Serialize, ToSchema)]
pub struct ShownIdentity {
    /// `password`, `google`, `channel`, `guest`.
    provider: String,
    /// The e-mail address, or an id.
    subject: String,
}

impl From<UserSummary> for ShownUser {
    fn from(summary: UserSummary) -> Self {
        let UserSummary { user, created_at, identities, admin, dialogues } = summary;
        let identity = |(provider, subject)| ShownIdentity { provider, subject };
        Self {
            user_id: user.0,
            created_at,
            identities: identities.into_iter().map(identity).collect(),
            admin,
            dialogs: dialogues,
        }
    }
}

#[derive(Deserialize, ToSchema)]
pub struct RoleRequest {
    admin: bool,
}

#[derive(Serialize, ToSchema)]
pub struct ChangedUser {
    user_id: i64,
}

fn user(id: &str) -> Result<UserId, ConsoleError> {
    id.parse().map(UserId).map_err(|_| ConsoleError::UnknownUser)
}

/// Show a user.
///
/// Needs the scope `users`.
#[utoipa::path(
    operation_id = "show_user",
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(("who" = String, Path, description = "The user's number or e-mail address")),
    responses((status = 200, description = "The user", body = ShownUser), Admin<admin::Users>, ConsoleError),
)]
#[get("/admin/users/<who>")]
pub async fn show(
    _admin: Admin<admin::Users>,
    who: &str,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<ShownUser>, Problem> {
    Ok(Json(context.run(app.console.user(who)).await?.into()))
}

/// Grant or revoke the administrator role.
///
/// Needs the scope `users`.
#[utoipa::path(
    operation_id = "set_role",
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(("id" = i64, Path, minimum = 1, description = "The user")),
    request_body = RoleRequest,
    responses(
        (status = 200, description = "The role is set", body = ChangedUser),
        Admin<admin::Users>, Body<RoleRequest>, ConsoleError,
    ),
)]
#[post("/admin/users/<id>/role", data = "<body>")]
pub async fn role(
    admin: Admin<admin::Users>,
    id: &str,
    body: Body<RoleRequest>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<ChangedUser>, Problem> {
    let user = user(id)?;
    context.run(app.console.set_role(user, body.value.admin, &admin.actor)).await?;
    Ok(Json(ChangedUser { user_id: user.0 }))
}

/// Export all data of a user, as `banter export` does: with the hash of the password and all messages.
///
/// Needs the scope `users`.
#[utoipa::path(
    operation_id = "export_user",
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(("id" = i64, Path, minimum = 1, description = "The user")),
    responses(
        (status = 200, description = "JSON Lines", body = String, content_type = "application/x-ndjson"),
        Admin<admin::Users>, ConsoleError,
    ),
)]
#[get("/admin/users/<id>/export")]
pub async fn export(
    admin: Admin<admin::Users>,
    id: &str,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<(ContentType, File), Problem> {
    let file = context.run(app.console.export(user(id)?, &admin.actor)).await?;
    Ok((ContentType::new("application", "x-ndjson"), File::from_std(file)))
}

/// Delete a user with all messages, dialogues and log-ins. This cannot be undone.
///
/// Needs the scope `users`.
#[utoipa::path(
    operation_id = "delete_user",
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(("id" = i64, Path, minimum = 1, description = "The user")),
    responses((status = 200, description = "The user is gone", body = ChangedUser), Admin<admin::Users>, ConsoleError),
)]
#[post("/admin/users/<id>/delete")]
pub async fn delete(
    admin: Admin<admin::Users>,
    id: &str,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<ChangedUser>, Problem> {
    let user = user(id)?;
    context.run(app.console.delete_user(user, &admin.actor)).await?;
    Ok(Json(ChangedUser { user_id: user.0 }))
}
