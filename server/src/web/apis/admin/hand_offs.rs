//! Dialogues that are handed off.

use std::sync::Arc;

use banter_stores::DialogueId;
use rocket::{State, post, serde::json::Json};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    conversations::ConversationError,
    web::{
        app::App,
        context::RequestContext,
        guard::admin::{self, Admin},
        problem::Problem,
    },
};

#[derive(Serialize, ToSchema)]
pub struct GivenBack {
    dialog_id: i64,
}

/// Give a dialogue that is handed off back to the bot, without an answer.
#[utoipa::path(
    tag = "admin",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(("id" = i64, Path, minimum = 1, description = "The dialogue")),
    responses(
        (status = 200, description = "The bot has the dialogue again", body = GivenBack),
        Admin<admin::Answer>, ConversationError,
    ),
)]
#[post("/admin/dialogs/<id>/give-back")]
pub async fn give_back(
    admin: Admin<admin::Answer>,
    id: &str,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<GivenBack>, Problem> {
    let dialog_id = id.parse().map_err(|_| ConversationError::UnknownDialogue)?;
    context.run(app.hand_offs.give_back(DialogueId(dialog_id), &admin.actor)).await?;
    Ok(Json(GivenBack { dialog_id }))
}
