//! What an operator of sites types: wrong settings and files, each told in one line, the commands beside a running
//! callback-service, the gateway's command for pages of sites, and SIGHUP.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::page::PATIENCE;
use e2e::programs::{Program, output, text};
use tempfile::TempDir;
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

const PROGRAM: &str = "callback-service";

const SITE: &str = "[[site]]\nid = \"shop\"\nname = \"Shop\"\npublic = true\nredirect_uris = [\"https://shop.example/cb\"]\n";

type Settings = HashMap<&'static str, String>;

/// Settings of a service with sites and a SQLite file, in a folder.
fn with_sites(folder: &Path) -> Settings {
    let sites = folder.join("sites.toml");
    std::fs::write(&sites, SITE).unwrap();
    HashMap::from([
        ("WECHAT_APP_ID", "wx0123456789abcdef".to_owned()),
        ("WECHAT_APP_SECRET", "a-secret-never-shown".to_owned()),
        ("WECHAT_TOKEN", "atokennevershown".to_owned()),
        ("WECHAT_AES_KEY", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".to_owned()),
        ("NOTIFY_KEY", "0123456789abcdef0123456789abcdef".to_owned()),
        ("CALLBACK_LISTEN", "127.0.0.1:0".to_owned()),
        ("CALLBACK_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ("CALLBACK_STORE", format!("sqlite:{}", folder.join("callback.db").display())),
        ("CALLBACK_SITES", sites.display().to_string()),
        ("CALLBACK_PUBLIC_URL", "https://id.example.cn".to_owned()),
        ("CALLBACK_BROWSER_URL", "https://login.example.cn".to_owned()),
    ])
}

fn folder() -> (TempDir, Settings) {
    let folder = tempfile::tempdir().unwrap();
    let settings = with_sites(folder.path());
    (folder, settings)
}

/// The exit code and what was said, on either way.
fn run(settings: &Settings, words: &[&str]) -> (i32, String) {
    let ended = output(PROGRAM, settings, words);
    (ended.status.code().unwrap(), text(&ended.stdout) + &text(&ended.stderr))
}

#[test]
fn what_is_wrong_about_sites_ends_the_start_and_the_check_with_one_line_that_names_it() {
    let (folder, good) = folder();
    let unknown = folder.path().join("unknown.toml");
    std::fs::write(&unknown, SITE.replace("redirect_uris", "redirect_uri")).unwrap();
    let secret = folder.path().join("secret.toml");
    std::fs::write(&secret, SITE.replace("public = true", "secret_sha256 = \"not-a-hash-and-never-shown\""))
        .unwrap();
    let table = folder.path().join("GeoLite2-City.csv");
    std::fs::write(&table, "network,geoname_id\n").unwrap();
    let is_set = |name, value: &str| vec![(name, value.to_owned())];
    let redis = || ("CALLBACK_STORE", "redis://127.0.0.1:1".to_owned());
    let (public, browser) =
        (|| ("CALLBACK_PUBLIC_URL", String::new()), || ("CALLBACK_BROWSER_URL", String::new()));
    let cases = [
        (
            is_set("CALLBACK_SITES", "/nowhere/sites.toml"),
            "CALLBACK_SITES: /nowhere/sites.toml: No such file",
        ),
        (is_set("CALLBACK_SITES", unknown.to_str().unwrap()), "unknown field `redirect_uri`"),
        (is_set("CALLBACK_SITES", secret.to_str().unwrap()), "site 1 (\"shop\"): secret_sha256: "),
        (is_set("CALLBACK_SITES", ""), "CALLBACK_PUBLIC_URL: means nothing without CALLBACK_SITES"),
        (is_set("CALLBACK_PUBLIC_URL", ""), "CALLBACK_PUBLIC_URL: is not set"),
        (is_set("CALLBACK_PUBLIC_URL", "https://id.example.cn/"), "CALLBACK_PUBLIC_URL: ends with a slash"),
        (
            is_set("CALLBACK_PUBLIC_URL", "https://id.example.cn/oidc"),
            "CALLBACK_PUBLIC_URL: must be scheme and host",
        ),
        (
            is_set("CALLBACK_PUBLIC_URL", "http://id.example.cn"),
            "CALLBACK_PUBLIC_URL: must begin with https://",
        ),
        (is_set("CALLBACK_BROWSER_URL", ""), "CALLBACK_BROWSER_URL: is not set"),
        (is_set("CALLBACK_INTERNAL_URL", "callback"), "CALLBACK_INTERNAL_URL: is no address"),
        (is_set("WECHAT_MODE", "plaintext"), "CALLBACK_SITES: sites need WECHAT_MODE safe or compatible"),
        (vec![redis()], "CALLBACK_SIGNING_KEYS: is not set"),
        (
            vec![redis(), ("CALLBACK_SIGNING_KEYS", "/nowhere/keys.json".to_owned())],
            "CALLBACK_SIGNING_KEYS: /nowhere/keys.json: there is no such file",
        ),
        (is_set("CALLBACK_SIGNING_KEYS", unknown.to_str().unwrap()), "is no file of signing keys"),
        (
            is_set("CALLBACK_SIGNING_KEYS", "/nowhere/keys.json"),
            "CALLBACK_SIGNING_KEYS: there is no folder /nowhere",
        ),
        (
            is_set("CALLBACK_STORE", "sqlite:/nowhere/callback.db"),
            "CALLBACK_STORE: there is no folder /nowhere",
        ),
        (is_set("CALLBACK_SESSION_IDLE", "0s"), "CALLBACK_SESSION_IDLE: must be between"),
        (is_set("CALLBACK_SESSION_LIFE", "91days"), "CALLBACK_SESSION_LIFE: must be between"),
        (is_set("CALLBACK_KEY_AGE", "1s"), "CALLBACK_KEY_AGE: must be between"),
        (
            is_set("CALLBACK_GEO_FILE", "/nowhere/GeoLite2-City.mmdb"),
            "CALLBACK_GEO_FILE: /nowhere/GeoLite2-City.mmdb: No such file",
        ),
        (
            is_set("CALLBACK_GEO_FILE", table.to_str().unwrap()),
            "GeoLite2-City.csv: is no database in MaxMind's format (.mmdb)",
        ),
        (
            is_set("CALLBACK_LOGO", "logo.png"),
            "callback-logo <CALLBACK_LOGO>': must be an http, https or data",
        ),
        (
            is_set("CALLBACK_ACCENT", "#07c160"),
            "callback-accent <CALLBACK_ACCENT>': white words on it have a contrast of 2.38:1",
        ),
        (is_set("CALLBACK_ACCENT", "green"), "must be # and six hexadecimal digits"),
        (is_set("CALLBACK_LINE", &"长".repeat(201)), "has 201 characters, and may have 200"),
        (is_set("CALLBACK_LINKS", "Terms=https://a.example,Privacy"), "link 2: must be text=https://"),
        (
            is_set("CALLBACK_ACCOUNT_NAME", "\t"),
            "callback-account-name <CALLBACK_ACCOUNT_NAME>': has no words",
        ),
        (
            vec![("CALLBACK_SITES", String::new()), ("CALLBACK_LINE", "x".to_owned()), public(), browser()],
            "CALLBACK_LINE: means nothing without CALLBACK_SITES",
        ),
    ];
    for (wrong, problem) in cases {
        let mut settings = good.clone();
        settings.extend(wrong);
        for words in [&[][..], &["check"]] {
            let (code, said) = run(&settings, words);
            assert!(code == 64 && said.contains(problem), "{problem:?}, {words:?}: {code}: {said}");
            assert_eq!(said.trim_end().lines().count(), 1, "{words:?}: {said}");
            assert!(!said.contains("never-shown"), "{said}");
        }
    }
    assert!(!folder.path().join("callback.keys.json").exists(), "a check makes nothing");
}

#[test]
fn what_is_wrong_about_wechat_servers_sites_is_told_in_one_line() {
    let (folder, good) = folder();
    let (code, entry) = run(&good, &["new-token", "AI 网关"]);
    assert_eq!(code, 0);
    let hash = entry.split_once("token_sha256 = \"").unwrap().1.split_once('"').unwrap().0;
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        ("CALLBACK_WECHAT_SERVER", path.display().to_string())
    };
    let right = write("good.toml", &entry);
    let (code, said) =
        run(&good.iter().map(|(k, v)| (*k, v.clone())).chain([right.clone()]).collect(), &["check"]);
    assert!(code == 0 && said.contains("sites by wechat-server's protocol: AI 网关\n"), "{said}");
    for (wrong, problem) in [
        (
            vec![("CALLBACK_WECHAT_SERVER", "/nowhere/w.toml".to_owned())],
            "CALLBACK_WECHAT_SERVER: /nowhere/w.toml: No such file",
        ),
        (
            vec![write("a.toml", &entry.replace("token_sha256", "token"))],
            "line 4 (token): unknown field `token`",
        ),
        (
            vec![write("b.toml", &entry.replace(hash, &hash[1..]))],
            "site 1 (\"AI 网关\"): token_sha256: write 64",
        ),
        (
            vec![right.clone(), ("CALLBACK_SITES", String::new()), ("WECHAT_MODE", "plaintext".to_owned())],
            "site \"AI 网关\": account: the first account is in plaintext mode, in which WeChat's signature",
        ),
        (
            vec![write("c.toml", &format!("{entry}account = \"tea\"\n"))],
            "c.toml: site \"AI 网关\": account: \"tea\" is not in WECHAT_ACCOUNTS",
        ),
        (vec![right.clone(), ("CALLBACK_CODE_WORDS", "验证码,1".to_owned())], "CALLBACK_CODE_WORDS"),
        (vec![right.clone(), ("CALLBACK_CODE_DIGITS", "5".to_owned())], "CALLBACK_CODE_DIGITS"),
        (vec![right.clone(), ("CALLBACK_TEXT_CODE", "看网页".to_owned())], "has no {code}"),
        (vec![right, ("WECHAT_QR_URL", "mp.weixin.qq.com".to_owned())], "WECHAT_QR_URL"),
    ] {
        let mut settings = good.clone();
        settings.extend(wrong);
        if settings["CALLBACK_SITES"].is_empty() {
            settings.retain(|name, _| !name.ends_with("_URL"));
        }
        let (code, said) = run(&settings, &["check"]);
        assert!(code == 64 && said.contains(problem), "{problem:?}: {code}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(!said.contains(hash) && !said.contains(&hash[1..]), "{said}");
    }
}

#[test]
fn an_operator_adds_a_site_checks_it_and_looks_after_keys_people_and_deliveries() {
    let (folder, mut settings) = folder();
    let (code, printed) = run(&settings, &["new-site", "示例商店"]);
    assert!(code == 0 && printed.contains("# issuer:        https://id.example.cn\n"), "{printed}");
    let id = printed.lines().find_map(|line| line.strip_prefix("id = ")).unwrap().trim_matches('"');
    std::fs::write(folder.path().join("sites.toml"), &printed).unwrap();

    let (code, said) = run(&settings, &["check"]);
    assert!(code == 0 && said.contains(id) && said.contains("will be made at the start"), "{said}");
    let keys = folder.path().join("callback.keys.json");
    let (code, said) = run(&settings, &["rotate-key"]);
    assert!(code == 0 && said.contains("callback.keys.json: the file was made"), "{said}");
    let kept = || std::fs::read_to_string(&keys).unwrap();
    let first = kept();
    let (code, said) = run(&settings, &["rotate-key"]);
    assert!(code == 1 && said.contains("write --at-once") && kept() == first, "{said}");
    let (code, said) = run(&settings, &["rotate-key", "--at-once"]);
    assert!(code == 0 && said.contains("all keys were replaced") && kept() != first, "{said}");
    let (code, said) = run(&settings, &["check"]);
    assert!(code == 0 && said.contains("signing keys are in "), "{said}");

    // In a wrong folder there is nothing to look at, and nothing is made.
    let kept = folder.path().join("callback.db");
    for words in [&["forget", "oPersonWhoLeaves"][..], &["outbox"], &["logins"]] {
        let (code, said) = run(&settings, words);
        assert!(code == 1 && said.contains(&format!("there is no file {}", kept.display())), "{said}");
    }
    assert!(!kept.exists());
    drop(Program::start(PROGRAM, &settings));
    let (code, said) = run(&settings, &["outbox"]);
    assert!(code == 0 && said == "no site has a backchannel_logout_uri or a webhook_url\n", "{said}");
    let told = "\nbackchannel_logout_uri = \"https://www.example.cn/out\"\nredirect_uris";
    let told = printed.replace("\nredirect_uris", told);
    std::fs::write(folder.path().join("sites.toml"), told).unwrap();
    let (code, said) = run(&settings, &["outbox"]);
    assert!(code == 0 && said == format!("{id}: 0 waiting, 0 given up\n"), "{said}");
    let (code, said) = run(&settings, &["forget", "oPersonWhoLeaves"]);
    assert!(code == 0 && said.starts_with("nothing is kept of oPersonWhoLeaves"), "{said}");
    let logged_in = "INSERT INTO records VALUES ('person:oPersonWhoLeaves', '{\"logins\":1}', 9000000000000)";
    assert!(Command::new("sqlite3").arg(&kept).arg(logged_in).status().unwrap().success());
    let (code, said) = run(&settings, &["forget", "oPersonWhoLeaves"]);
    assert!(code == 0 && said.starts_with("oPersonWhoLeaves is forgotten"), "{said}");
    assert_eq!(run(&settings, &["forget", "no openid"]).0, 64);

    // At whichever account it is.
    let accounts = folder.path().join("accounts.toml");
    let entry = "[[account]]\nname = \"tea\"\napp_id = \"wx2\"\napp_secret = \"s\"\ntoken = \"tokenoftea\"\n\
                 aes_key = \"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG\"\n";
    std::fs::write(&accounts, entry).unwrap();
    settings.insert("WECHAT_ACCOUNTS", accounts.display().to_string());
    let asked = "INSERT INTO records VALUES ('login-code-of:wx2/oPersonWhoLeaves', '{\"code\":\"482913\",\"id\":\"1\",\
                 \"created_at\":1,\"until\":9000000000000}', 9000000000000)";
    assert!(Command::new("sqlite3").arg(&kept).arg(asked).status().unwrap().success());
    let (code, said) = run(&settings, &["forget", "oPersonWhoLeaves"]);
    assert!(code == 0 && said.starts_with("oPersonWhoLeaves is forgotten"), "{said}");
    let left = "SELECT count(*) FROM records WHERE record LIKE '%482913%'";
    let left = Command::new("sqlite3").arg(&kept).arg(left).output().unwrap();
    assert_eq!(text(&left.stdout).trim(), "0");

    // A command that cannot have seen what the service keeps says so.
    settings.insert("CALLBACK_STORE", "sqlite::memory:".to_owned());
    for words in [&["forget", "oPersonWhoLeaves"][..], &["outbox"], &["logins"]] {
        let (code, said) = run(&settings, words);
        assert!(code == 1 && said.contains("inside the running service"), "{said}");
    }
}

#[test]
fn a_hundred_thousand_entries_of_the_audit_are_exported_in_little_memory_and_the_reader_may_go() {
    const ENTRIES: usize = 100_000;
    let (folder, settings) = folder();
    drop(Program::start(PROGRAM, &settings));
    let (code, said) = run(&settings, &["logins"]);
    assert!(code == 0 && said.lines().count() == 1, "{said}");
    let fill = format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {ENTRIES})
         INSERT INTO journal (kind, at, subject, entry, personal) SELECT 'logins', unixepoch() * 1000 - n, 'oPerson' || n,
         '{{\"outcome\":\"granted\",\"site\":\"shop\",\"way\":\"scan\"}}', '{{\"person\":\"oPerson' || n || '\"}}' FROM n"
    );
    let file = folder.path().join("callback.db");
    assert!(Command::new("sqlite3").arg(&file).arg(fill).status().unwrap().success());
    let mut memory = Vec::new();
    for limit in [2_000, ENTRIES] {
        let flags = ["logins", "--format", "csv", "--limit", &limit.to_string()].map(str::to_owned);
        let mut command = e2e::programs::command(PROGRAM, &settings);
        let mut exporting = command.args(flags).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::with_capacity(1024, exporting.stdout.take().unwrap()).lines();
        // It stops here, because nobody takes more.
        assert_eq!(lines.by_ref().take(limit - 1_500).map(Result::unwrap).count(), limit - 1_500);
        let status = std::fs::read_to_string(format!("/proc/{}/status", exporting.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        memory.push(peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap());
        // The names are one line more.
        assert_eq!(lines.map(Result::unwrap).count(), 1_501);
        assert!(exporting.wait().unwrap().success());
    }
    assert!(memory[1] < memory[0] + 4_096, "{memory:?} KiB");

    let mut command = e2e::programs::command(PROGRAM, &settings);
    let mut exporting = command.args(["logins", "--format", "jsonl"]).stdout(Stdio::piped()).spawn().unwrap();
    let first =
        BufReader::with_capacity(1024, exporting.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    assert!(first.contains("\"outcome\":\"granted\""), "{first}");
    assert!(exporting.wait().unwrap().success(), "head has seen enough");
}

/// What it prints is tried against a gateway in login_page.rs.
#[test]
fn the_widgets_lines_need_the_gateways_address() {
    let widget = |settings: &Settings, words: &[&str]| {
        let ended = output("ws-gateway", settings, &[&["widget"], words].concat());
        (ended.status.code().unwrap(), text(&ended.stdout), text(&ended.stderr))
    };
    for (words, say) in [
        (&[][..], "--gateway-url <URL>"),
        (&["--gateway-url", ""], "write for example https://login.example.com"),
        (&["--gateway-url", "login.example.com"], "write for example https://login.example.com"),
        (&["--gateway-url", "https://a.example/\"><script>"], "write for example https://login.example.com"),
        (&["--gateway-url", "http://login.example.com"], "must begin with https://"),
        (&["https://login.example.com"], "unexpected argument"),
    ] {
        let (code, printed, said) = widget(&Settings::new(), words);
        assert!(code == 64 && printed.is_empty(), "{words:?}: {code}: {printed}");
        assert!(said.contains(say) && said.trim_end().lines().count() == 1, "{words:?}: {said}");
    }
    // None of the gateway's other settings is needed, nor read.
    let settings = [("GATEWAY_URL", "https://login.example.com"), ("GATEWAY_LISTEN", "nowhere")];
    let settings = settings.map(|(name, value)| (name, value.to_owned())).into();
    let (code, printed, said) = widget(&settings, &[]);
    assert!(code == 0 && printed.contains("src=\"https://login.example.com/widget.v1.js?v="), "{said}");
    let (code, help, _) = widget(&Settings::new(), &["--help"]);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(code == 0 && help.contains("After an upgrade the hash may be another one"), "{help}");
}

/// Where a request for a site leads: back to the site with an error, or to a page that knows no such site.
async fn status(program: &Program, site: &str) -> u16 {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let at = program.address("pushes");
    let url = format!(
        "http://{at}/authorize?client_id={site}&redirect_uri=https%3A%2F%2F{site}.example%2Fcb&scope=openid"
    );
    client.get(url).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sites_are_read_again_at_sighup_and_a_broken_file_changes_nothing() {
    let (folder, settings) = folder();
    let program = block_in_place(|| Program::start(PROGRAM, &settings));
    assert_eq!((status(&program, "shop").await, status(&program, "forum").await), (303, 400));
    let both = format!("{SITE}{}", SITE.replace("shop", "forum"));
    for (text, told, forum) in [
        (format!("{both}colour = \"red\"\n"), "unknown field `colour`", 400),
        (both, "the sites were read again", 303),
        (String::new(), "the sites stay as they were", 303),
    ] {
        std::fs::write(folder.path().join("sites.toml"), text).unwrap();
        program.hang_up();
        let mut log = String::new();
        let heard = async {
            while !log.contains(told) {
                sleep(Duration::from_millis(20)).await;
                log += &program.log();
            }
        };
        assert!(timeout(PATIENCE, heard).await.is_ok(), "{told}: {log}");
        assert_eq!((status(&program, "shop").await, status(&program, "forum").await), (303, forum), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_sites_there_is_no_provider() {
    let (_folder, mut settings) = folder();
    for name in ["CALLBACK_SITES", "CALLBACK_PUBLIC_URL", "CALLBACK_BROWSER_URL"] {
        settings.remove(name);
    }
    let program = block_in_place(|| Program::start(PROGRAM, &settings));
    for path in [
        ".well-known/openid-configuration",
        "authorize",
        "token",
        "userinfo",
        "jwks.json",
        "logout",
        "login.js",
    ] {
        let answer = reqwest::get(format!("http://{}/{path}", program.address("pushes"))).await.unwrap();
        assert_eq!(answer.status().as_u16(), 404, "{path}");
    }
}
