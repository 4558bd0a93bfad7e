//! What was not understood, and what the bot is taught from it.

use std::sync::Arc;

use banter_engine::lesson::Lesson;
use rocket::{State, get, post, serde::json::Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{number, texts};
use crate::{
    catalogs::terms::{Published, Wish},
    config::release::Scope,
    console::{ConsoleError, ReviewGroup},
    conversations::check_text,
    web::{
        app::App,
        body::Body,
        context::RequestContext,
        guard::admin::{self, Admin},
        problem::{Problem, RequestError},
    },
};

#[derive(Serialize, ToSchema)]
pub struct Review {
    /// The largest first.
    groups: Vec<ReviewGroup>,
    /// The intents of the version in use.
    intents: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
pub struct TeachRequest {
    /// An intent of the version in use.
    intent: String,
    /// A language code of the bot.
    language: String,
    /// The example as the intent's file will have it; entities may be marked: `to [London](city)`.
    #[schema(min_length = 1, max_length = 2000)]
    example: String,
    /// What the user said, for a fixture.
    #[schema(min_length = 1, max_length = 2000)]
    said: String,
    /// Whether to change nothing and forecast other answers.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Serialize, ToSchema)]
pub struct TeachResponse {
    published: Published,
    /// The files that are new or changed.
    files: Vec<String>,
}

/// List what users have said that the version in use does not understand, grouped by meaning.
///
/// Needs the scope `read`. Personal data is masked without the scope `utterances`.
#[utoipa::path(
    operation_id = "review",
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(("since" = Option<i64>, Query, minimum = 0, description = "Not older than this, in milliseconds since 1970")),
    responses((status = 200, description = "The groups", body = Review), Admin<admin::Read>, ConsoleError),
)]
#[get("/admin/review?<since>")]
pub async fn list(
    admin: Admin<admin::Read>,
    since: Option<&str>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Review>, Problem> {
    let since = number("since", since, 0..=i64::MAX)?.unwrap_or(0);
    let groups = context.run(app.console.review(since, texts(&admin))).await?;
    let line = app.follower.line();
    let intents = line.stable.snapshot.catalogue.intents.iter().map(|intent| intent.id.to_string()).collect();
    Ok(Json(Review { groups, intents }))
}

/// Add an example to an intent, and a fixture, and publish the result through the gate.
///
/// Needs the scope `publish`. The texts of users in a forecast need `utterances` too.
#[utoipa::path(
    operation_id = "teach",
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    request_body = TeachRequest,
    responses(
        (status = 200, description = "What was published", body = TeachResponse),
        Admin<admin::Publish>, Body<TeachRequest>, ConsoleError,
    ),
)]
#[post("/admin/examples", data = "<body>")]
pub async fn teach(
    admin: Admin<admin::Publish>,
    body: Body<TeachRequest>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<TeachResponse>, Problem> {
    let _place = app.bounds.bundle_place()?;
    let TeachRequest { intent, language, example, said, dry_run } = body.value;
    for (name, text) in [("example", &example), ("said", &said)] {
        check_text(text).map_err(|_| RequestError::InvalidField(name.to_owned()))?;
    }
    let message = format!("an example of {}", intent.chars().filter(|c| !c.is_control()).take(100).collect::<String>());
    let wish = Wish { message, dry_run, utterances: admin.may(Scope::Utterances), ..Wish::default() };
    let lesson = Lesson { intent, language, example: example.trim().to_owned(), said: said.trim().to_owned() };
    let taught = context.run(app.console.teach(&lesson, &wish, &admin.actor)).await?;
    Ok(Json(TeachResponse { published: taught.published, files: taught.files }))
}
