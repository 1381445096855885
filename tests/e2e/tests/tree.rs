//! The tree of sources: where things stand, which room may use which, and how long a file is.
//!
//! ARCHITECTURE.md says it in words. A change that breaks it here needs another place for what it adds, or a reason to
//! change the rule.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What may stand at the top.
const TOP: [&str; 20] = [
    ".cargo",
    ".ci",
    ".dockerignore",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "README.zh-CN.md",
    "callback-service",
    "crates",
    "deny.toml",
    "deploy",
    "docs",
    "protocol",
    "rustfmt.toml",
    "tests",
];

/// Names that say nothing about what is inside.
const DRAWERS: [&str; 7] = ["utils", "util", "common", "helpers", "helper", "manager", "misc"];

/// Lines of a file. One that is longer has more than one idea.
const LONGEST: usize = 500;

/// The rooms of each service, each of which may use those before it.
const FLOORS: [(&str, &[&str]); 2] = [
    (
        "ws-gateway/src",
        &["metrics", "logins", "codes", "account", "stores", "notices", "browsers", "live", "doctor"],
    ),
    (
        "callback-service/src",
        &[
            "metrics",
            "store",
            "storage",
            "audit",
            "outbox",
            "relay",
            "provider",
            "logins",
            "wechat_server",
            "pushes",
            "web",
            "live",
            "doctor",
        ],
    ),
];

/// What the crates of the lowest floor may use of ours.
const CRATES: [(&str, &[&str]); 8] = [
    ("protocol", &[]),
    ("crates/server", &[]),
    ("crates/records", &[]),
    ("crates/wechat", &[]),
    ("crates/login_page", &[]),
    // It reads what the services share, by the rules for settings.
    ("crates/account_file", &["server"]),
    // It asks what these know.
    ("crates/doctor", &["protocol", "records", "server", "wechat"]),
    // It is a part of the admin port, and chooses a language as the login page does.
    ("crates/live_view", &["server", "login_page"]),
];

/// Our own crates, by the names that sources use.
const OURS: [&str; 10] = [
    "doctor",
    "protocol",
    "server",
    "records",
    "wechat",
    "login_page",
    "account_file",
    "live_view",
    "ws_gateway",
    "callback_service",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file that git knows, and those that it will.
fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listed.status.success());
    let listed = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<String> =
        listed.lines().filter(|file| root().join(file).exists()).map(str::to_owned).collect();
    assert!(files.len() > 300, "{} files", files.len());
    files
}

fn sources() -> Vec<(String, String)> {
    let sources = files().into_iter().filter(|file| file.ends_with(".rs"));
    sources
        .map(|file| (fs::read_to_string(root().join(&file)).unwrap(), file))
        .map(|(text, file)| (file, text))
        .collect()
}

/// The rooms that a source uses of its own crate.
fn rooms_used(text: &str) -> Vec<&str> {
    let of = |after: &'static str| {
        text.split(after).skip(1).map(|rest| {
            rest.trim_start_matches('{').split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap()
        })
    };
    of("crate::").filter(|room| !room.is_empty()).collect()
}

#[test]
fn the_top_level_is_what_was_agreed() {
    for file in files() {
        let top = file.split('/').next().unwrap();
        assert!(TOP.contains(&top) || top == "ws-gateway", "{file}");
    }
}

#[test]
fn no_file_is_a_drawer_and_every_one_has_an_idea_and_an_end() {
    for (file, text) in sources() {
        for part in file.trim_end_matches(".rs").split('/') {
            assert!(!DRAWERS.contains(&part), "{file} says nothing about what is in it");
        }
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{file} has {lines} lines; divide it by idea");
        let is_small = file.ends_with("/main.rs") && lines < 10;
        assert!(
            text.starts_with("//!") || text.starts_with("#!") || is_small,
            "{file} does not say what it is for"
        );
        let folder = root().join(file.trim_end_matches(".rs"));
        assert!(!folder.is_dir(), "{file} stands beside a folder of its name; it is that folder's mod.rs");
    }
}

#[test]
fn a_room_uses_only_rooms_before_it() {
    for (service, floors) in FLOORS {
        let mut seen = 0;
        for (file, text) in sources() {
            let Some(inside) = file.strip_prefix(service).map(|file| file.trim_start_matches('/')) else {
                continue;
            };
            let room = inside.split(['/', '.']).next().unwrap();
            let Some(floor) = floors.iter().position(|name| *name == room) else { continue };
            if inside.contains("/tests") || inside.contains("test") {
                continue;
            }
            seen += 1;
            let used = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
            for other in rooms_used(used) {
                let above = floors.iter().position(|name| *name == other).is_some_and(|other| other > floor);
                assert!(!above, "{file} uses {other}, which comes after {room}");
            }
        }
        assert!(seen > floors.len(), "{service}: {seen} files");
    }
}

#[test]
fn the_lowest_crates_know_neither_each_other_nor_a_service() {
    for (folder, known) in CRATES {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let needs = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
        for ours in OURS {
            let name = format!("\n{}", ours.replace('_', "-"));
            let needed = needs.contains(&format!("{name}.")) || needs.contains(&format!("{name} "));
            assert!(!needed || known.contains(&ours), "{folder} depends on {ours}");
        }
    }
    for (service, other) in [("ws-gateway", "callback-service"), ("callback-service", "ws-gateway")] {
        let manifest = fs::read_to_string(root().join(service).join("Cargo.toml")).unwrap();
        assert!(!manifest.contains(&format!("\n{other}")), "{service} knows {other}");
    }
}

/// Whoever is called at night looks in the log for what the document quotes.
#[test]
fn log_lines_that_docs_operate_quotes_are_written_by_somebody() {
    let operate = fs::read_to_string(root().join("docs/operate.md")).unwrap();
    let quoted = operate.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.strip_suffix(": …"));
    let (quoted, sources): (Vec<&str>, _) = (quoted.collect(), sources());
    assert!(!quoted.is_empty());
    for line in quoted {
        assert!(sources.iter().any(|(_, text)| text.contains(line)), "nobody writes {line:?}");
    }
}
