//! Reads Duckling's corpora, which are Haskell modules, from the sources of the crate `duckling`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The lines of a corpus that have one value.
pub struct Example {
    /// The value as Haskell, on one line.
    pub value: String,
    /// What is said.
    pub utterances: Vec<String>,
}

/// The folder with the corpora in the sources of the crate.
pub fn folder() -> PathBuf {
    let output = Command::new(env!("CARGO")).args(["metadata", "--format-version", "1", "--offline"]).output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let duckling = packages.iter().find(|package| package["name"] == "duckling").unwrap();
    let manifest = Path::new(duckling["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().join("tests/haskell_upstream/Duckling")
}

/// The examples of a module that its lists from `first` on have; those of other lists are left out.
pub fn examples(file: &Path, lists: &[&str]) -> Vec<Example> {
    let source = std::fs::read_to_string(file).unwrap();
    let source: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let source = source.join("\n");
    lists.iter().flat_map(|list| of_list(&source, list)).collect()
}

fn of_list(source: &str, list: &str) -> Vec<Example> {
    let Some(start) = source.find(&format!("\n{list} ::")) else { return Vec::new() };
    let body = &source[start + 1..];
    let end = body.find("\n\n").filter(|_| list != "allExamples").unwrap_or(body.len());
    let mut rest = &body[..end];
    let mut examples = Vec::new();
    while let Some(at) = rest.find("examples (") {
        rest = &rest[at + "examples (".len()..];
        let close = closing(rest);
        let value = rest[..close].split_whitespace().collect::<Vec<_>>().join(" ");
        rest = &rest[close..];
        let (utterances, length) = strings(rest);
        examples.push(Example { value, utterances });
        rest = &rest[length..];
    }
    examples
}

/// The place of the bracket that closes what is open.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    let mut inside = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' => inside = !inside,
            '(' if !inside => depth += 1,
            ')' if !inside => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    panic!("no bracket closes {text}")
}

/// The strings of the next list, and where the list ends.
fn strings(text: &str) -> (Vec<String>, usize) {
    let mut strings = Vec::new();
    let mut open: Option<String> = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (&mut open, character) {
            (None, '"') => open = Some(String::new()),
            (None, ']') => return (strings, at),
            (None, _) => {}
            (Some(_), '"') => strings.extend(open.take()),
            (Some(string), '\\') => string.push_str(&escaped(&mut characters)),
            (Some(string), other) => string.push(other),
        }
    }
    panic!("no list in {text}")
}

/// `\"`, `\x20ac` and `\&`.
fn escaped(characters: &mut std::str::CharIndices<'_>) -> String {
    match characters.next() {
        Some((_, 'x')) => {
            let hex: String = characters.as_str().chars().take_while(char::is_ascii_hexdigit).collect();
            for _ in 0..hex.len() {
                characters.next();
            }
            let rest = characters.as_str().starts_with("\\&");
            if rest {
                characters.next();
                characters.next();
            }
            char::from_u32(u32::from_str_radix(&hex, 16).unwrap()).unwrap().to_string()
        }
        Some((_, other)) => other.to_string(),
        None => String::new(),
    }
}
