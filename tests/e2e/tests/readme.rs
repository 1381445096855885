//! The README's first command, run as a newcomer types it.

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
}

#[test]
fn flags_go_to_the_demo_and_wrong_ones_are_named() {
    let help = cargo().args(["demo", "--", "--help"]).output().unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--lan"), "{help:?}");
    let wrong = cargo().args(["demo", "--", "--lam"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("--lam"), "{wrong:?}");
}
