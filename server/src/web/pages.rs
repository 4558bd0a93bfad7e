//! Pages that show the API: Swagger UI at `/docs`, Redoc at `/redoc`. All files come with the server.

use std::{borrow::Cow, path::PathBuf, sync::Arc};

use rocket::{
    Responder, Route, get,
    http::{ContentType, Header, uri::Origin},
    response::Redirect,
    routes,
};
use utoipa_swagger_ui::Config;

use super::problem::{Problem, RequestError};

/// What the pages may load: their own scripts and this server's API. Both put styles into the page, and draw icons from
/// `data:`.
const SWAGGER_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Redoc searches in a worker, which it makes from a `blob:`.
const REDOC_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

const REDOC_PAGE: &str = include_str!("../../assets/redoc/index.html");
const REDOC_SCRIPT: &str = include_str!("../../assets/redoc/redoc.standalone.js");

pub fn routes() -> Vec<Route> {
    routes![swagger, redoc, redoc_script]
}

/// A file of a page.
#[derive(Responder)]
struct PageFile {
    content: Cow<'static, [u8]>,
    kind: ContentType,
    policy: Header<'static>,
}

impl PageFile {
    fn new(content: impl Into<Cow<'static, [u8]>>, kind: ContentType, policy: &'static str) -> Self {
        Self { content: content.into(), kind, policy: Header::new("Content-Security-Policy", policy) }
    }
}

#[derive(Responder)]
enum Page {
    File(PageFile),
    /// To the address from which the page's relative links lead to its files.
    Elsewhere(Redirect),
    Problem(Problem),
}

#[get("/docs/<path..>")]
fn swagger(path: PathBuf, uri: &Origin<'_>) -> Page {
    if path.as_os_str().is_empty() && !uri.path().ends_with('/') {
        return Page::Elsewhere(Redirect::permanent("docs/"));
    }
    let config = Config::from("../openapi.json").validator_url("none");
    match utoipa_swagger_ui::serve(&path.to_string_lossy(), Arc::new(config)) {
        Ok(Some(file)) => {
            let kind = ContentType::parse_flexible(&file.content_type).unwrap_or(ContentType::Binary);
            Page::File(PageFile::new(file.bytes.into_owned(), kind, SWAGGER_POLICY))
        }
        Ok(None) => Page::Problem(RequestError::NotFound.into()),
        Err(error) => Page::Problem(Problem::internal(&error.to_string())),
    }
}

#[get("/redoc")]
fn redoc(uri: &Origin<'_>) -> Page {
    if uri.path().ends_with('/') {
        return Page::Elsewhere(Redirect::permanent("../redoc"));
    }
    Page::File(PageFile::new(REDOC_PAGE.as_bytes(), ContentType::HTML, REDOC_POLICY))
}

#[get("/redoc/redoc.standalone.js")]
fn redoc_script() -> PageFile {
    PageFile::new(REDOC_SCRIPT.as_bytes(), ContentType::JavaScript, REDOC_POLICY)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn redoc_is_the_file_of_its_package() {
        let hash = Sha256::digest(REDOC_SCRIPT);
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "dcaf76612bc4a3fbcc923a8966dee2f6146a5f32e5ce1b6f02dd60cbbf89500b");
    }
}
