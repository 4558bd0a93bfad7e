//! The layers of the crates: a module imports only from those before it. Read from the sources, so that a path in a
//! function's body counts as well as a `use`. Cargo itself keeps the crates from importing one another in circles.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The engine: a pure core.
const ENGINE: &[&str] = &[
    "text",
    "random",
    "storage",
    "language",
    "ids",
    "policy",
    "diagnostic",
    "template",
    "word",
    "lexicon",
    "values",
    "entities",
    "pattern",
    "background",
    "embedding",
    "index",
    "cache",
    "state",
    "turn",
    "host",
    "handlers",
    "catalogue",
    "decide",
    "snapshot",
    "understanding",
    "dialogue",
    "engine",
    "replay",
    "forecast",
    "review",
    "lesson",
];

/// The server: what all need, the use cases, HTTP, and the assembly of all.
const SERVER: &[&str] = &[
    "setup",
    "secret_file",
    "message_id",
    "operations",
    "config",
    "telemetry",
    "passwords",
    "tokens",
    "embedder",
    "host",
    "google",
    "accounts",
    "catalogs",
    "metrics",
    "conversations",
    "hand_offs",
    "feeds",
    "dialogues",
    "channel",
    "user_data",
    "expiry",
    "histories",
    "queries",
    "console",
    "listener",
    "web",
    "assembly",
];

/// A path that leads to another top-level module.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Import {
    file: String,
    line: usize,
    from: String,
    to: String,
    /// Whether it begins with `crate`; what `super` leads to may also be an item of the module that is left.
    absolute: bool,
}

#[test]
fn the_engine_keeps_its_layers() {
    check("engine", ENGINE);
}

#[test]
fn the_server_keeps_its_layers() {
    check("server", SERVER);
}

/// Fails on an import against the order, and on a module without a layer.
fn check(package: &str, order: &[&str]) {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(package).join("src");
    let mut found = BTreeSet::new();
    let mut modules = BTreeSet::new();
    for file in files(&src) {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        found.extend(imports(&name, &fs::read_to_string(&file).unwrap()));
        modules.extend(module(&name).into_iter().next().filter(|module| module != "lib"));
    }
    let place = |module: &str| order.iter().position(|known| *known == module);
    let wrong: Vec<String> = found
        .iter()
        .filter(|import| match (place(&import.from), place(&import.to)) {
            (Some(from), Some(to)) => to > from,
            // What `lib.rs` re-exports is imported from where it lies.
            _ => import.absolute,
        })
        .map(|Import { file, line, from, to, .. }| format!("{package}/src/{file}:{line}: `{from}` imports `{to}`"))
        .collect();
    assert!(wrong.is_empty(), "\n{}\nthe order is: {}\n", wrong.join("\n"), order.join(" < "));
    assert_eq!(modules, order.iter().map(|module| (*module).to_owned()).collect());
}

#[test]
fn all_ways_of_writing_a_path_are_seen() {
    let source = r###"
        use crate::{a::B, c::{D, e::F}, g};   // crate::comment
        pub(crate) use super::super::h::I; use super::*;
        use std::{fmt, io};
        fn f() { crate::j::k("crate::text"); super::own(); let _: super :: super :: l::M; $crate::n::o!() }
        /* crate::comment /* crate::nested */ crate::comment */ const T: char = '"'; type U = crate::p::Q;
        const R: &str = r##"crate::raw "# "##;
    "###;
    let found: Vec<String> = imports("x/y.rs", source).into_iter().map(|import| import.to).collect();
    assert_eq!(found, ["a", "c", "g", "h", "j", "l", "n", "p"]);
    let at_the_top: Vec<String> =
        imports("x.rs", "use super::{a::B, c}; use super::*; use d::E;").into_iter().map(|i| i.to).collect();
    assert_eq!(at_the_top, ["a", "c"]);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

/// `decide/head/dual.rs` is `["decide", "head", "dual"]`.
fn module(file: &str) -> Vec<String> {
    file.trim_end_matches(".rs").split('/').map(str::to_owned).collect()
}

/// All paths from one top-level module into another, in the order of the file. `lib.rs` only puts the modules together.
fn imports(file: &str, source: &str) -> Vec<Import> {
    let own = module(file);
    if own == ["lib"] {
        return Vec::new();
    }
    let code = blank(source);
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((start, word)) = next_word(&code, at) {
        at = start + word.len();
        let after_a_path = code[..start].trim_end().ends_with("::");
        if after_a_path || !matches!(word, "crate" | "super") {
            continue;
        }
        // How many modules of the own path are left; `super` in a file is one less, in an inline `mod tests` none less.
        let mut depth = if word == "crate" { 0 } else { own.len() - 1 };
        let mut rest = at;
        while let Some(next) = code[rest..].trim_start().strip_prefix("::") {
            rest = code.len() - next.len();
            let Some((begin, "super")) =
                next_word(&code, rest).filter(|(begin, _)| code[rest..*begin].trim().is_empty())
            else {
                break;
            };
            depth = depth.saturating_sub(1);
            rest = begin + "super".len();
        }
        if rest == at || depth > 0 {
            continue;
        }
        at = rest;
        let line = code[..start].matches('\n').count() + 1;
        for to in heads(&code[rest..]).into_iter().filter(|to| *to != own[0]) {
            found.push(Import { file: file.to_owned(), line, from: own[0].clone(), to, absolute: word == "crate" });
        }
    }
    found
}

/// The first names of what follows `crate::`: one, or those of a group.
fn heads(rest: &str) -> Vec<String> {
    let rest = rest.trim_start();
    let Some(group) = rest.strip_prefix('{') else {
        // `*` has no name.
        return next_word(rest, 0)
            .filter(|(begin, _)| *begin == 0)
            .map(|(_, word)| word.to_owned())
            .into_iter()
            .collect();
    };
    let (mut depth, mut begins, mut heads) = (0, true, Vec::new());
    for (at, sign) in group.char_indices() {
        match sign {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            sign if begins && (sign.is_alphabetic() || sign == '_') => {
                begins = false;
                heads.extend(next_word(group, at).map(|(_, word)| word.to_owned()));
            }
            _ => {}
        }
    }
    heads
}

/// The next word from a byte on, and where it begins.
fn next_word(code: &str, from: usize) -> Option<(usize, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let begin = from + code[from..].find(is_part)?;
    let end = code[begin..].find(|c| !is_part(c)).map_or(code.len(), |length| begin + length);
    Some((begin, &code[begin..end]))
}

/// The source with comments and literals blanked out; lines stay.
fn blank(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = literal(rest).unwrap_or(0);
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[length..];
    }
    out
}

/// Bytes of the comment or literal that begins here.
fn literal(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        let (mut depth, mut at) = (0, 0);
        while at < rest.len() {
            match &rest.as_bytes()[at..rest.len().min(at + 2)] {
                b"/*" => (depth, at) = (depth + 1, at + 2),
                b"*/" => (depth, at) = (depth - 1, at + 2),
                _ => at += 1,
            }
            if depth == 0 {
                break;
            }
        }
        return Some(at);
    }
    if let Some(raw) = rest.strip_prefix('r') {
        let signs = raw.len() - raw.trim_start_matches('#').len();
        if raw[signs..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(signs));
            let inside = 1 + signs + 1;
            return Some(rest[inside..].find(&end).map_or(rest.len(), |at| inside + at + end.len()));
        }
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    // A lifetime has no second quote.
    let mut signs = rest.strip_prefix('\'')?.chars();
    match (signs.next()?, signs.next()?) {
        ('\\', _) => Some(quoted(rest, '\'')),
        (c, '\'') => Some(2 + c.len_utf8()),
        _ => None,
    }
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if !escaped && c == quote {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}
