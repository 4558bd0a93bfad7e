//! Responses to requests that no route answers, and to those that a guard rejected.

use std::collections::BTreeSet;

use rocket::{
    Catcher, Request, Route, catch, catchers,
    http::{Method, Status},
};

use super::{
    body::Refusal,
    context::Trace,
    problem::{Problem, RequestError},
};

pub fn all() -> Vec<Catcher> {
    catchers![refused]
}

#[catch(default)]
fn refused(status: Status, request: &Request<'_>) -> Problem {
    if let Some(problem) = &request.local_cache(Refusal::default).0 {
        return problem.clone();
    }
    let error = match status.code {
        404 => match methods_of(request.rocket().routes(), request.uri().path().as_str()) {
            methods if methods.is_empty() || methods.contains(request.method().as_str()) => RequestError::NotFound,
            methods => RequestError::MethodNotAllowed(methods.into_iter().collect::<Vec<_>>().join(", ")),
        },
        413 => RequestError::TooLarge,
        415 => RequestError::UnsupportedMediaType,
        422 => RequestError::InvalidField("request".to_owned()),
        503 => RequestError::Busy,
        code if (400..500).contains(&code) => RequestError::Unreadable,
        code => {
            return Trace::of(request).span().in_scope(|| Problem::internal(&format!("a request failed with {code}")));
        }
    };
    error.into()
}

/// The methods that a path takes: Rocket itself answers 404 to a known path with another method.
fn methods_of<'r>(routes: impl Iterator<Item = &'r Route>, path: &str) -> BTreeSet<&'static str> {
    let segments = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let asked = segments(path);
    let matches = |route: &&Route| {
        let own = segments(route.uri.path());
        own.len() == asked.len() && own.iter().zip(&asked).all(|(own, asked)| own.starts_with('<') || own == asked)
    };
    let methods = routes.filter(matches).flat_map(|route| match route.method {
        Method::Get => vec!["GET", "HEAD"],
        method => vec![method.as_str()],
    });
    methods.collect()
}
