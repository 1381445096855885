//! What docs/recipes/ shows, to be run as it stands there.

use std::path::{Path, PathBuf};

/// The stand-in for whatever is secret, in every recipe.
pub(crate) const SECRET: &str = "…";

/// The issuer in every recipe.
pub(crate) const ISSUER: &str = "https://id.example.cn";

/// A file of the repository.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The text of a file of the repository.
pub(crate) fn text(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The only block of this language on a page.
pub(crate) fn block(page: &str, language: &str) -> String {
    let text = text(page);
    let fence = format!("```{language}\n");
    let blocks: Vec<&str> = text.split(&fence).skip(1).collect();
    let [block] = blocks[..] else { panic!("{page} has {} blocks of {language}", blocks.len()) };
    block.split_once("```").unwrap().0.to_owned()
}

/// The lines between a shell's `<<'END'` and its end, in the only block of `sh`.
pub(crate) fn here_document(page: &str) -> String {
    let block = block(page, "sh");
    let (_, document) = block.split_once("<<'END'\n").unwrap();
    document.split_once("END\n").unwrap().0.to_owned()
}

/// Replaces what must be there.
pub(crate) fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "there is no {from:?} in {text}");
    text.replace(from, to)
}
