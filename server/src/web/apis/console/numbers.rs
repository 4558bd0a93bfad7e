//! Numbers over a period.

use std::sync::Arc;

use rocket::{State, get, serde::json::Json};

use super::{LATEST, number};
use crate::{
    console::{ConsoleError, Numbers, STEPS},
    web::{
        app::App,
        context::RequestContext,
        guard::admin::{self, Admin},
        problem::{Problem, RequestError},
    },
};

/// Count messages, what was understood, hand-offs, latencies, intents and failures over a period.
///
/// Needs the scope `read`. The numbers come from the stores, so a restart loses nothing.
#[utoipa::path(
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(
        ("since" = i64, Query, minimum = 0, description = "In milliseconds since 1970"),
        ("until" = i64, Query, minimum = 0, description = "Exclusive; in milliseconds since 1970"),
        ("step" = i64, Query, minimum = 1000, description = "The length of a step, in milliseconds; at most 200 steps"),
    ),
    responses((status = 200, description = "The numbers", body = Numbers), Admin<admin::Read>, ConsoleError),
)]
#[get("/admin/numbers?<since>&<until>&<step>")]
pub async fn numbers(
    _admin: Admin<admin::Read>,
    since: Option<&str>,
    until: Option<&str>,
    step: Option<&str>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Numbers>, Problem> {
    let invalid = |name: &str| RequestError::InvalidParameter(name.to_owned());
    let since = number("since", since, 0..=LATEST)?.ok_or_else(|| invalid("since"))?;
    let until = number("until", until, since + 1..=LATEST)?.ok_or_else(|| invalid("until"))?;
    let step = number("step", step, 1_000..=LATEST)?.ok_or_else(|| invalid("step"))?;
    if (until - since) / step > STEPS {
        return Err(invalid("step").into());
    }
    Ok(Json(context.run(app.console.numbers(since, until, step)).await?))
}
