//! How pages have to look: what was kept in `looks.txt`, and a judgement of what is seen now.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::{env, fs};

use crate::look::{Difference, Look};

const HEAD: &str = "\
# How our pages look: the mean colours of blocks, for tests/e2e/tests/pages. Each row is a row of blocks. A colour has
# three digits (red, green, blue) of 64 levels; *12 says that it is there twelve times, and =3 that three rows are as the
# one before.
# It is made by:  WRITE_REFERENCES=1 cargo test --workspace --test pages
";

/// One file for both languages, which are tried at the same time.
static FILE: Mutex<()> = Mutex::new(());

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pages/looks.txt")
}

fn read() -> BTreeMap<String, Look> {
    let text = fs::read_to_string(path()).unwrap_or_default();
    let mut looks = BTreeMap::new();
    for part in text.split("\n[").skip(1) {
        let (name, rows) = part.split_once("]\n").expect("a name stands in brackets");
        looks.insert(name.to_owned(), Look::parse(&rows.trim_end().lines().collect::<Vec<_>>()));
    }
    looks
}

/// Whether this run makes the references instead of judging by them.
pub(crate) fn are_renewed() -> bool {
    env::var_os("WRITE_REFERENCES").is_some()
}

/// Says of every look in this language what is wrong with it; or keeps them all, where the references are renewed.
pub(crate) fn judge(language: &str, seen: &BTreeMap<String, Look>) -> Vec<String> {
    let _only = FILE.lock();
    let mut kept = read();
    let is_of_language = |name: &str| name.contains(&format!(", {language}, "));
    if are_renewed() {
        kept.retain(|name, _| !is_of_language(name));
        kept.extend(seen.clone());
        let text: String = kept.iter().map(|(name, look)| format!("\n[{name}]\n{look}")).collect();
        fs::write(path(), format!("{HEAD}{text}")).unwrap();
        return Vec::new();
    }
    let mut problems = Vec::new();
    for (name, look) in seen {
        match kept.get(name) {
            None => problems.push(format!("{name}: has no reference yet")),
            Some(reference) => problems.extend(compare(name, reference, look)),
        }
    }
    for name in kept.keys().filter(|name| is_of_language(name) && !seen.contains_key(*name)) {
        problems.push(format!("{name}: has a reference, and was not seen"));
    }
    problems
}

/// Says how two looks differ, if they do.
pub(crate) fn compare(name: &str, reference: &Look, seen: &Look) -> Option<String> {
    let differences = reference.differences(seen);
    let span = |part: fn(&Difference) -> usize| {
        let all = differences.iter().map(part);
        all.clone().min().zip(all.max())
    };
    if let (Some((left, right)), Some((top, bottom))) = (span(|it| it.x), span(|it| it.y)) {
        let (count, one) = (differences.len(), differences[differences.len() / 2]);
        return Some(format!(
            "{name}: looks different in {count} blocks, around x {left} to {right}, y {top} to {bottom}; it was {one}"
        ));
    }
    let area = reference.other_area(seen)?;
    Some(format!("{name}: looks different: an area in {area} has come, gone or changed its colour"))
}

/// What to do about such problems.
pub(crate) const ADVICE: &str = "Was it meant? Look at the pages with\n    \
    WRITE_SCREENSHOTS=/tmp/pages cargo test --workspace --test pages\n\
    and keep their new looks with\n    \
    WRITE_REFERENCES=1 cargo test --workspace --test pages";
