//! The front end: the chat at `/`, the console at `/console`, the widget's script. The files come from
//! `frontend/dist`, which exists where npm has built it.

use std::{borrow::Cow, path::Path, sync::Arc};

use rocket::{
    Responder, Route, State, get,
    http::{ContentType, Header, uri::Origin},
    response::Redirect,
    routes,
};
use rust_embed::RustEmbed;

use super::{
    app::{Access, App},
    context::{RequestContext, Speech},
    problem::{Problem, RequestError},
};

/// A name with a hash of the content is another file when the content changes.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Sites name the widget without a hash.
const SHORTLY: &str = "public, max-age=300";

/// Google's button loads its own script, style and frame.
const GOOGLE: &str = "https://accounts.google.com/gsi/";

#[derive(RustEmbed)]
#[folder = "../frontend/dist"]
#[allow_missing = true]
struct Files;

pub fn routes() -> Vec<Route> {
    routes![chat, console, widget, asset]
}

#[derive(Responder)]
struct File {
    content: Cow<'static, [u8]>,
    kind: ContentType,
    cache: Header<'static>,
}

#[derive(Responder)]
struct Page {
    content: Cow<'static, [u8]>,
    kind: ContentType,
    policy: Header<'static>,
}

#[derive(Responder)]
enum Console {
    Here(Page),
    /// To the address from which the page's relative links lead to its files.
    Elsewhere(Redirect),
}

#[get("/")]
fn chat(context: RequestContext, app: &State<Arc<App>>) -> Page {
    page("index.html", &app.access, &app.access.frame_ancestors, context.speech)
}

#[get("/console")]
fn console(uri: &Origin<'_>, context: RequestContext, app: &State<Arc<App>>) -> Console {
    // The page's links are relative to the folder above.
    if uri.path().ends_with('/') {
        return Console::Elsewhere(Redirect::permanent("../console"));
    }
    // Never in a frame: a site that may show the chat must not lead an administrator's clicks.
    Console::Here(page("console.html", &app.access, &[], context.speech))
}

#[get("/widget.js")]
fn widget() -> Result<File, Problem> {
    file("widget.js", SHORTLY)
}

#[get("/assets/<name>")]
fn asset(name: &str) -> Result<File, Problem> {
    // A name may hold an encoded slash.
    if name.contains(['/', '\\']) {
        return Err(RequestError::NotFound.into());
    }
    file(&format!("assets/{name}"), FOREVER)
}

fn page(name: &str, access: &Access, ancestors: &[String], speech: Speech) -> Page {
    let policy = Header::new("Content-Security-Policy", policy(access, ancestors));
    let content = Files::get(name).map_or_else(|| Cow::Borrowed(missing(speech).as_bytes()), |file| file.data);
    Page { content, kind: ContentType::HTML, policy }
}

fn file(path: &str, cache: &'static str) -> Result<File, Problem> {
    let found = Files::get(path).ok_or(RequestError::NotFound)?;
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
    let kind = extension.and_then(ContentType::from_extension).unwrap_or(ContentType::Binary);
    Ok(File { content: found.data, kind, cache: Header::new("Cache-Control", cache) })
}

/// What the pages may load: their own files, this server's API, and the images of messages. Nothing inline.
fn policy(access: &Access, ancestors: &[String]) -> String {
    let (google, script) = match access.google_client_id {
        Some(_) => (format!(" {GOOGLE}"), format!(" {GOOGLE}client")),
        None => (String::new(), String::new()),
    };
    let ancestors = if ancestors.is_empty() { "'none'".to_owned() } else { ancestors.join(" ") };
    format!(
        "default-src 'none'; script-src 'self'{script}; style-src 'self'{google}; img-src 'self' data: https:; \
         connect-src 'self'{google}; frame-src{frames}; base-uri 'none'; form-action 'self'; \
         frame-ancestors {ancestors}",
        frames = if google.is_empty() { " 'none'" } else { &google },
    )
}

/// The page of a server that was built without npm.
fn missing(speech: Speech) -> &'static str {
    match speech {
        Speech::English => {
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>banter</title>\n<h1>banter is running</h1>\n\
             <p>This server was built without its pages, because <code>npm</code> was missing. \
             Install Node.js 20.19 or newer with npm, then run <code>make run</code> again.</p>\n\
             <p>The API works: see <a href=\"docs\">its documentation</a>, or talk to the bot with \
             <code>banter chat</code>.</p>\n</html>\n"
        }
        Speech::Russian => {
            "<!doctype html>\n<html lang=\"ru\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>banter</title>\n<h1>banter работает</h1>\n\
             <p>Сервер собран без страниц, потому что не было <code>npm</code>. \
             Установите Node.js 20.19 или новее с npm и снова выполните <code>make run</code>.</p>\n\
             <p>API работает: <a href=\"docs\">документация</a>. Поговорить с ботом можно командой \
             <code>banter chat</code>.</p>\n</html>\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_pages_says_what_is_missing() {
        for (speech, part) in [(Speech::English, "was missing"), (Speech::Russian, "не было")] {
            let page = missing(speech);
            assert!(page.contains("npm") && page.contains("make run") && page.contains(part), "{page}");
        }
    }
}
