//! What the documents claim: the README's commands work as a newcomer types them, and the tests that
//! docs/security.md and docs/cross-device.md name exist.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::page::{PATIENCE, Page};
use e2e::programs::program;
use serde_json::Value;
use simulator::{Settings, Simulator};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The documents whose commands a test runs. deploy/README.md has its own, tests/images/readme.sh.
const DOCUMENTS: [&str; 3] = ["README.md", "docs/run.md", "docs/notify.md"];

/// What a line of their `sh` blocks begins with, and what runs it. A new command needs a line here.
const COMMANDS: [(&str, &str); 8] = [
    ("cargo demo", "cargo_demo_says_what_to_open_and_it_is_there"),
    ("docker-compose -f deploy/compose.yaml up --build ", "tests/images/demo.sh"),
    ("cargo build --release --locked", "deploy/Dockerfile, by tests/images/run.sh"),
    (": \"${WECHAT_APP_ID:?}\" ", BY_HAND),
    ("export NOTIFY_KEY=", BY_HAND),
    ("./target/release/ws-gateway &", BY_HAND),
    ("./target/release/callback-service &", BY_HAND),
    ("./target/release/ws-gateway client-key shop >> clients.toml", BY_HAND),
];
const BY_HAND: &str = "the_commands_that_start_both_services_by_hand_do";

fn document(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(name)).unwrap()
}

/// The documents' `sh` blocks.
fn blocks() -> Vec<String> {
    let text = DOCUMENTS.map(document).concat();
    let after = text.split("```sh\n").skip(1);
    after.map(|text| text.split_once("```").unwrap().0.to_owned()).collect()
}

#[test]
fn every_command_of_the_documents_is_run_by_a_test() {
    let blocks = blocks().concat();
    let lines: Vec<&str> = blocks.lines().collect();
    for line in &lines {
        assert!(COMMANDS.iter().any(|(begins, _)| line.starts_with(begins)), "nothing runs: {line}");
    }
    for (begins, _) in COMMANDS {
        assert!(lines.iter().any(|line| line.starts_with(begins)), "no document has: {begins}");
    }
}

/// What must be the same in both languages: the levels of headings, the commands, and where links lead.
fn skeleton(readme: &str) -> (Vec<usize>, Vec<String>, Vec<String>) {
    let mut prose = String::new();
    let mut commands = Vec::new();
    for (i, part) in readme.split("```").enumerate() {
        match part.strip_prefix("sh\n") {
            Some(block) if i % 2 == 1 => commands.push(block.to_owned()),
            _ if i % 2 == 0 => prose += part,
            // A drawing has words of its own language.
            _ => {}
        }
    }
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let levels = headings.map(|line| line.bytes().take_while(|byte| *byte == b'#').count()).collect();
    let links = prose.split("](").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned());
    // Each leads to the other.
    (levels, commands, links.filter(|link| !link.starts_with("README.")).collect())
}

#[test]
fn the_chinese_readme_has_the_same_headings_commands_and_links() {
    let (english, chinese) = (document("README.md"), document("README.zh-CN.md"));
    assert_eq!(skeleton(&english), skeleton(&chinese));
    assert!(english.contains("](README.zh-CN.md)") && chinese.contains("](README.md)"));
}

/// The names of all documents.
fn documents() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let listed = Command::new("git").args(["ls-files", "*.md"]).current_dir(&root).output().unwrap();
    assert!(listed.status.success());
    String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_programs_that_the_documents_run_with_cargo_are_there() {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .output();
    let metadata: Value = serde_json::from_slice(&cargo.unwrap().stdout).unwrap();
    let is_program = |target: &Value| target["kind"].as_array().unwrap().iter().any(|kind| kind == "bin");
    let packages = metadata["packages"].as_array().unwrap().iter();
    let packages = packages.filter(|package| package["targets"].as_array().unwrap().iter().any(is_program));
    let programs: Vec<&str> = packages.map(|package| package["name"].as_str().unwrap()).collect();
    let mut found = 0;
    for name in documents() {
        for command in document(&name).split("cargo run ").skip(1) {
            let mut words = command.split_whitespace().skip_while(|word| *word != "-p").skip(1);
            let package = words.next().unwrap();
            assert!(programs.contains(&package), "{name}: {package} is none of {programs:?}");
            found += 1;
        }
    }
    assert!(found > 3, "{found}");
}

#[test]
fn what_the_documents_link_to_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let names = documents();
    let checked =
        Command::new("python3").args(["tests/images/links.py", "."]).args(&names).current_dir(&root).output();
    let checked = checked.unwrap();
    assert!(checked.status.success() && names.len() > 8, "{}", String::from_utf8_lossy(&checked.stdout));
}

/// A shell and what it started, which end with this.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-TERM", "--", &group]).status();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_commands_that_start_both_services_by_hand_do() {
    // A folder like the checkout's, with programs that are built already. Building is another test's.
    let folder = tempfile::tempdir().unwrap();
    let release = folder.path().join("target/release");
    std::fs::create_dir_all(&release).unwrap();
    for name in ["ws-gateway", "callback-service"] {
        std::os::unix::fs::symlink(program(name), release.join(name)).unwrap();
    }
    let blocks = blocks().into_iter().filter(|block| block.contains("./target/release/")).collect::<Vec<_>>();
    let script = format!("cargo() {{ :; }}\nset -e\n{}\nwait", blocks.concat());

    let wechat = Simulator::new(Settings::default()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(wechat.clone().serve(listener, CancellationToken::new(), TaskTracker::new()));
    let account = wechat.settings().clone();
    let [browsers, notices, admin, pushes, other_admin] = places();
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(script).current_dir(folder.path()).stdin(Stdio::null()).stderr(Stdio::null());
    shell.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).process_group(0);
    for (name, value) in [
        ("WECHAT_APP_ID", account.app_id),
        ("WECHAT_APP_SECRET", account.app_secret),
        ("WECHAT_TOKEN", account.token),
        ("WECHAT_AES_KEY", account.aes_key),
        ("WECHAT_API_URL", api),
        ("GATEWAY_LISTEN", browsers.to_string()),
        ("GATEWAY_NOTIFY_LISTEN", notices.to_string()),
        ("GATEWAY_ADMIN_LISTEN", admin.to_string()),
        ("CALLBACK_LISTEN", pushes.to_string()),
        ("CALLBACK_ADMIN_LISTEN", other_admin.to_string()),
        ("CALLBACK_GATEWAY", notices.to_string()),
    ] {
        shell.env(name, value);
    }
    let _shell = Shell(shell.spawn().unwrap());
    for ready in [admin, other_admin] {
        until_ready(&format!("http://{ready}/readyz")).await;
    }

    wechat.set_push_url(format!("http://{pushes}/wechat"));
    let mut page = Page::open(browsers).await;
    let code = page.code().await;
    let person = wechat.invent_person("", true);
    let delivery = wechat.scan(&person.openid, &code.content).await.unwrap();
    assert!(delivery.is_ok(), "{delivery:?}");
    page.expect("scanned").await;
    page.expect("scan_success").await;
    let entry = std::fs::read_to_string(folder.path().join("clients.toml")).unwrap();
    assert!(entry.contains("[[client]]") && entry.contains("\"shop\""), "{entry}");
}

async fn until_ready(url: &str) {
    let mut often = tokio::time::interval(Duration::from_millis(50));
    let began = Instant::now();
    while !reqwest::get(url).await.is_ok_and(|answer| answer.status().is_success()) {
        assert!(began.elapsed() < PATIENCE, "{url} within {PATIENCE:?}");
        often.tick().await;
    }
}

/// Places that are free now. The commands name none, and the two services must know each other's.
fn places<const N: usize>() -> [SocketAddr; N] {
    let taken: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    taken.map(|listener| listener.local_addr().unwrap())
}

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
    let (site, phone, login_page) = (address("打开这里"), address("模拟手机"), address("网关的登录页"));
    for url in [&login_page, &phone, &site] {
        let answer = reqwest::get(format!("http://{url}/")).await.unwrap();
        assert!(answer.status().is_success(), "{url}");
    }
    let code = Page::open(login_page.parse().unwrap()).await.code().await;
    assert!(code.content.starts_with(&format!("http://{phone}/q/")), "{}", code.content);
    // The phone's camera has the newest code before its lens.
    let codes = reqwest::get(format!("http://{phone}/phone/codes")).await.unwrap();
    let codes: serde_json::Value = codes.json().await.unwrap();
    assert!(codes[0].to_string().contains(&code.content), "{codes}");
    // What is printed first leads to everything else.
    let start = reqwest::get(format!("http://{site}/")).await.unwrap().text().await.unwrap();
    for link in [&format!("href=\"http://{phone}/\""), "href=\"/login\"", "href=\"/widget\""] {
        assert!(start.contains(link), "{link} is not in {start}");
    }
    // The site's own client id is known, and a login for it can begin.
    let login = reqwest::get(format!("http://{site}/login")).await.unwrap();
    assert!(login.status().is_success() && login.url().path() == "/authorize", "{login:?}");
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
fn every_test_that_the_security_pages_name_exists() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let sources = ["protocol", "crates", "ws-gateway", "callback-service", "tests"];
    let code: String = sources.iter().map(|folder| read_all(&root.join(folder))).collect();
    for (name, least) in [("docs/security.md", 40), ("docs/cross-device.md", 20)] {
        let page = document(name);
        let is_head =
            |line: &str| ["| threat", "| practice", "| mitigation"].iter().any(|it| line.starts_with(it));
        let mut named = 0;
        for row in page.lines().filter(|line| line.starts_with("| ") && !is_head(line)) {
            let last = row.trim_end_matches(['|', ' ']).rsplit(" | ").next().unwrap();
            let tests = last.split('`').skip(1).step_by(2);
            assert!(last.contains("**") || last.contains('`'), "neither a test nor open: {row}");
            for test in tests {
                named += 1;
                let is_script = test.ends_with(".sh") && root.join(test).is_file();
                assert!(
                    is_script || code.contains(&format!("fn {test}()")),
                    "{name} names {test}, which is no test"
                );
            }
        }
        assert!(named >= least, "{name}: {named}");
    }
}

/// A module that passes has a test of its name, with underscores.
#[test]
fn every_module_of_the_conformance_suite_is_a_test() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let page = std::fs::read_to_string(root.join("docs/oidc.md")).unwrap();
    let code = read_all(&root.join("tests/e2e/tests/oidc"));
    let rows: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `oidcc-")).collect();
    // Basic OP, Config OP, RP-initiated logout, back-channel logout.
    assert_eq!(rows.len(), 38 + 1 + 11 + 2);
    for row in rows {
        let (module, rest) = row.split_once("` | ").unwrap();
        let test = format!("fn oidcc_{}()", module.replace('-', "_"));
        assert!(code.contains(&test), "docs/oidc.md names oidcc-{module}, and there is no {test}");
        let result = rest.trim_end_matches(['|', ' ']).rsplit(" | ").next().unwrap();
        assert!(result.starts_with("pass") || result.starts_with("skipped by the suite"), "{row}");
    }
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
