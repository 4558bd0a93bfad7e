//! A user's dialogues.

use std::sync::Arc;

use banter_stores::{DialogueId, DialogueRecord, HistoryEntry, HistoryQuery};
use rocket::{State, get, post, serde::json::Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    dialogues::DialogueError,
    histories::HistoryError,
    web::{
        app::App,
        body::Body,
        context::RequestContext,
        guard::User,
        list::JsonList,
        problem::{Problem, RequestError},
    },
};

#[derive(Deserialize, ToSchema)]
pub struct CreateRequest {
    /// Without spaces around it.
    #[schema(min_length = 3, max_length = 20)]
    dialog_name: String,
}

#[derive(Deserialize, ToSchema)]
pub struct RenameRequest {
    #[schema(minimum = 1)]
    dialog_id: i64,
    /// Without spaces around it.
    #[schema(min_length = 3, max_length = 20)]
    dialog_name: String,
}

#[derive(Deserialize, ToSchema)]
pub struct DeleteRequest {
    #[schema(minimum = 1)]
    dialog_id: i64,
}

#[derive(Serialize, ToSchema)]
pub struct Created {
    /// `ok`.
    server: &'static str,
    /// The id of the dialogue.
    dialog: i64,
}

#[derive(Serialize, ToSchema)]
pub struct Deleted {
    /// `ok`.
    server: &'static str,
    /// `Диалог удалён`.
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
pub struct Renamed {
    /// `ok`.
    server: &'static str,
    /// `true`.
    status: bool,
}

#[derive(Serialize, ToSchema)]
pub struct DialogueList {
    /// `ok`.
    server: &'static str,
    /// By id.
    dialogs: Vec<DialogueItem>,
}

#[derive(Serialize, ToSchema)]
pub struct DialogueItem {
    dialog_id: i64,
    dialog_name: String,
}

impl From<DialogueRecord> for DialogueItem {
    fn from(record: DialogueRecord) -> Self {
        Self { dialog_id: record.id.0, dialog_name: record.name }
    }
}

#[derive(Serialize, ToSchema)]
pub struct Transcript {
    /// `ok`.
    server: &'static str,
    /// Oldest first.
    dialogs: Vec<Said>,
}

/// One message of a dialogue.
#[derive(Serialize, ToSchema)]
pub struct Said {
    role: Role,
    content: String,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    User,
    Bot,
}

/// What the user said, and what the bot answered, if anything.
fn said(entry: HistoryEntry) -> Vec<Said> {
    let messages = [Said { role: Role::User, content: entry.text }, Said { role: Role::Bot, content: entry.response }];
    messages.into_iter().filter(|message| !message.content.is_empty()).collect()
}

/// Create a dialogue. A user may have five.
#[utoipa::path(
    tag = "dialogues",
    security(("cookie" = []), ("bearer" = [])),
    request_body = CreateRequest,
    responses((status = 200, description = "The dialogue", body = Created), User, Body<CreateRequest>, DialogueError),
)]
#[post("/dialogs/create", data = "<body>")]
pub async fn create(
    user: User,
    body: Body<CreateRequest>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Created>, Problem> {
    let dialogue = context.run(app.dialogues.create(user.0, &body.value.dialog_name)).await?;
    Ok(Json(Created { server: "ok", dialog: dialogue.0 }))
}

/// Delete a dialogue with its messages.
#[utoipa::path(
    tag = "dialogues",
    security(("cookie" = []), ("bearer" = [])),
    request_body = DeleteRequest,
    responses((status = 200, description = "It is deleted", body = Deleted), User, Body<DeleteRequest>, DialogueError),
)]
#[post("/dialogs/delete", data = "<body>")]
pub async fn delete(
    user: User,
    body: Body<DeleteRequest>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Deleted>, Problem> {
    context.run(app.dialogues.delete(user.0, id(body.value.dialog_id)?)).await?;
    Ok(Json(Deleted { server: "ok", status: "Диалог удалён" }))
}

/// Rename a dialogue.
#[utoipa::path(
    tag = "dialogues",
    security(("cookie" = []), ("bearer" = [])),
    request_body = RenameRequest,
    responses((status = 200, description = "It is renamed", body = Renamed), User, Body<RenameRequest>, DialogueError),
)]
#[post("/dialogs/rename", data = "<body>")]
pub async fn rename(
    user: User,
    body: Body<RenameRequest>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Renamed>, Problem> {
    let RenameRequest { dialog_id, dialog_name } = &body.value;
    context.run(app.dialogues.rename(user.0, id(*dialog_id)?, dialog_name)).await?;
    Ok(Json(Renamed { server: "ok", status: true }))
}

/// List the user's dialogues. The default one, for messages without a dialogue, is not among them.
#[utoipa::path(
    tag = "dialogues",
    security(("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "The dialogues", body = DialogueList), User),
)]
#[post("/dialogs")]
pub async fn list(user: User, context: RequestContext, app: &State<Arc<App>>) -> Result<Json<DialogueList>, Problem> {
    let dialogues = context.run(app.queries.dialogues(user.0)).await?;
    Ok(Json(DialogueList { server: "ok", dialogs: dialogues.into_iter().map(DialogueItem::from).collect() }))
}

/// Read what was said in a dialogue.
#[utoipa::path(
    tag = "dialogues",
    security(("cookie" = []), ("bearer" = [])),
    params(("id" = i64, Path, minimum = 1, description = "The dialogue")),
    responses((status = 200, description = "The messages", body = Transcript), User, DialogueError, HistoryError),
)]
#[get("/dialogs/<id>")]
pub async fn read(user: User, id: &str, context: RequestContext, app: &State<Arc<App>>) -> Result<JsonList, Problem> {
    let id = id.parse().map_err(|_| DialogueError::Unknown)?;
    let query = HistoryQuery { dialogue: Some(DialogueId(id)), ..HistoryQuery::default() };
    let opened = context.run(app.histories.open(user.0, query)).await?;
    let history = opened.ok_or(DialogueError::Unknown)?;
    Ok(JsonList::of(r#"{"server":"ok","dialogs":["#.to_owned(), history, said, context.span()))
}

pub(super) fn id(number: i64) -> Result<DialogueId, Problem> {
    if number < 1 { Err(RequestError::InvalidField("dialog_id".to_owned()).into()) } else { Ok(DialogueId(number)) }
}
