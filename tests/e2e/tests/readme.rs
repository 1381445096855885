//! What the documents claim: the README's first command works as a newcomer types it, and the tests that
//! docs/security.md names exist.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use e2e::page::Page;

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).stdin(Stdio::null());
    cargo
}

/// Ends the demo, which cargo has become (it calls exec), however the test ends.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn cargo_demo_says_what_to_open_and_it_is_there() {
    let demo = cargo().args(["demo", "--", "--free-ports"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut demo = Demo(demo);
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut address = |word: &str| {
        let line = lines.find(|line| line.contains(word)).unwrap_or_else(|| panic!("no line has {word}"));
        line.split("http://").nth(1).unwrap().trim_end_matches('/').to_owned()
    };
    let (login_page, phone) = (address("打开登录页"), address("打开模拟手机"));
    for url in [&login_page, &phone] {
        let answer = reqwest::get(format!("http://{url}/")).await.unwrap();
        assert!(answer.status().is_success(), "{url}");
    }
    let code = Page::open(login_page.parse().unwrap()).await.code().await;
    assert!(code.content.starts_with(&format!("http://{phone}/q/")), "{}", code.content);
    // "On the phone page, press Scan at the newest code", says the demo.
    let codes = reqwest::get(format!("http://{phone}/phone/codes")).await.unwrap();
    let codes: serde_json::Value = codes.json().await.unwrap();
    assert!(codes[0].to_string().contains(&code.content), "{codes}");
}

#[test]
fn flags_go_to_the_demo_and_wrong_ones_are_named() {
    let help = cargo().args(["demo", "--", "--help"]).output().unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--lan"), "{help:?}");
    let wrong = cargo().args(["demo", "--", "--lam"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("--lam"), "{wrong:?}");
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let page = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let sources = ["protocol", "wechat", "deploy", "ws-gateway", "callback-service", "tests"];
    let code: String = sources.iter().map(|folder| read_all(&root.join(folder))).collect();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| threat"));
    let mut named = 0;
    for row in rows {
        let last = row.trim_end_matches(['|', ' ']).rsplit(" | ").next().unwrap();
        let tests = last.split('`').skip(1).step_by(2);
        assert!(last.contains("**open**") || last.contains('`'), "neither a test nor open: {row}");
        for test in tests {
            named += 1;
            assert!(
                code.contains(&format!("fn {test}()")),
                "docs/security.md names {test}, which is no test"
            );
        }
    }
    assert!(named > 40, "{named}");
}

fn read_all(folder: &std::path::Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all += &read_all(&path);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            all += &std::fs::read_to_string(path).unwrap();
        }
    }
    all
}
