//! axe-core, the rules of accessibility that machines can judge. Its file is not ours, and is fetched when it is needed.

use std::process::Command;
use std::sync::OnceLock;
use std::{fs, path::Path};

use e2e::browser::Browser;
use serde_json::{Value, json};

use crate::stage::target;

/// WCAG 2.2 A and AA, and what axe calls best practice.
const STANDARDS: [&str; 7] =
    ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"];

/// By night only the colours are others.
const COLOURS: [&str; 2] = ["color-contrast", "link-in-text-block"];

/// Gives each violation as a text: the rule, where, and why.
const RUN: &str = "((wishes) => axe.run(document, wishes).then(({ violations }) => violations.map((it) =>
    `axe-core's ${it.id}: ${it.help}: ${it.nodes.map(({ target, any, all, none }) =>
        `${target} (${[...any, ...all, ...none].map(({ message }) => message).join('; ')})`).join(', ')}`)))";

/// Lets axe-core judge the page that is open: what it finds.
pub(crate) async fn run(browser: &Browser, only_colours: bool) -> Value {
    if browser.value("typeof axe").await == "undefined" {
        browser.client.execute(script(), Vec::new()).await.unwrap();
    }
    let wishes = if only_colours {
        json!({ "runOnly": COLOURS })
    } else {
        // It is part of WCAG 2.2 AA, and off as long as nobody asks for it.
        json!({ "runOnly": STANDARDS, "rules": { "target-size": { "enabled": true } } })
    };
    browser.value(&format!("{RUN}({wishes})")).await
}

/// The script, of a package that tests/venv.sh fetches and that is kept for the next time.
fn script() -> &'static str {
    static SCRIPT: OnceLock<String> = OnceLock::new();
    SCRIPT.get_or_init(|| {
        let folder = target().join("axe");
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut make = Command::new(tests.join("venv.sh"));
        let made = make.arg(&folder).arg(tests.join("axe/requirements.txt")).output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(
            made.status.success(),
            "there is no axe-core: {said}; on Debian: apt-get install python3-venv util-linux"
        );
        // Below it is a folder for Python's version.
        let mut packages = fs::read_dir(folder.join("lib")).unwrap();
        let packages = packages.next().unwrap().unwrap().path().join("site-packages");
        fs::read_to_string(packages.join("axe_playwright_python/axe.min.js")).unwrap()
    })
}
