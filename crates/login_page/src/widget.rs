//! What is promised of the widget's file, beside what it does.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::{SCRIPT, WAYS, WIDGET, WIDGET_TYPES};

/// Bytes of the module as they go over the network: less than a small picture. What only some logins need is in a second
/// one.
const MOST: usize = 6_144;

/// Bytes of a text by gzip.
fn zipped(text: &'static str) -> usize {
    let mut gzip =
        Command::new("gzip").arg("-9c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // More than a pipe holds would need a thread; this is less.
    assert!(text.len() < 65_536);
    gzip.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    gzip.wait_with_output().unwrap().stdout.len()
}

#[test]
fn the_widget_is_small() {
    for (name, module) in [("widget.v1.js", WIDGET), ("ways.v1.js", WAYS)] {
        let bytes = zipped(module);
        assert!((1..=MOST).contains(&bytes), "{name} has {bytes} bytes by gzip -9, and may have {MOST}");
    }
}

/// The names that a module exports.
fn exports(module: &str) -> Vec<&str> {
    let is_of_a_name = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
    let mut names = Vec::new();
    for rest in module.lines().filter_map(|line| line.strip_prefix("export ")) {
        if let Some(list) = rest.strip_prefix('{') {
            let list = list.split_once('}').unwrap().0;
            names.extend(list.split(',').map(|name| name.split(" as ").last().unwrap().trim()));
            continue;
        }
        let words = rest.split(|letter| !is_of_a_name(letter)).filter(|word| !word.is_empty());
        let kinds = ["async", "class", "const", "declare", "function", "interface", "let", "type", "var"];
        names.push(words.into_iter().find(|word| !kinds.contains(word)).unwrap());
    }
    names
}

#[test]
fn every_name_of_the_module_has_a_type() {
    let typed = exports(WIDGET_TYPES);
    let names = exports(WIDGET);
    assert!(names.contains(&"mount"), "{names:?}");
    for name in names {
        assert!(typed.contains(&name), "widget.v1.d.ts does not know {name}: {typed:?}");
    }
    assert_eq!(
        exports("export const a = 1;\nexport async function b() {}\nexport { c, d as e };"),
        ["a", "b", "c", "e"]
    );
}

/// What stands in single quotes in these lines of the types.
fn quoted(begin: &str, end: &str) -> Vec<&'static str> {
    let part = WIDGET_TYPES.split_once(begin).unwrap().1.split_once(end).unwrap().0;
    let lines = part.lines().filter_map(|line| line.trim().strip_prefix("| '"));
    lines.map(|line| line.split('\'').next().unwrap()).collect()
}

#[test]
fn the_types_name_what_the_module_says() {
    let states = quoted("export type State =", ";\n\n");
    let troubles = quoted("export interface Trouble {", ";\n");
    assert!(states.len() == 9 && troubles.len() > 4, "{states:?} {troubles:?}");
    for name in states.into_iter().chain(troubles) {
        assert!(WIDGET.contains(name), "widget.v1.js does not say {name}");
    }
}

/// The gateway serves the page's script with the version of the module in this address, and the module with that of the
/// second one.
#[test]
fn each_script_names_the_next_one_once() {
    assert_eq!(SCRIPT.matches("'./widget.v1.js'").count(), 1);
    assert_eq!(WIDGET.matches("'./ways.v1.js'").count(), 1);
}
