//! What an operator types: help, versions, and wrong settings, each answered by one line and exit code 64.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::collections::{BTreeSet, HashMap};
use std::process::Command;
use std::time::Duration;

use e2e::fleet::{Fleet, Options};
use e2e::page::{PATIENCE, Page};
use e2e::programs::{Program, output, text};
use test_redis::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

fn good(program: &str) -> HashMap<&'static str, String> {
    let mut settings = HashMap::from([
        ("WECHAT_APP_ID", "wx0123456789abcdef".to_owned()),
        ("WECHAT_APP_SECRET", "a-secret-never-shown".to_owned()),
        ("NOTIFY_KEY", "0123456789abcdef0123456789abcdef".to_owned()),
    ]);
    if program == "callback-service" {
        settings.insert("WECHAT_TOKEN", "atokennevershown".to_owned());
        settings.insert("WECHAT_AES_KEY", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".to_owned());
    }
    settings
}

#[test]
fn help_and_version_are_there() {
    for program in ["ws-gateway", "callback-service", "simulator"] {
        let version = output(program, &HashMap::new(), &["--version"]);
        assert!(version.status.success());
        assert!(text(&version.stdout).contains(env!("CARGO_PKG_VERSION")), "{program}");
        let help = output(program, &HashMap::new(), &["--help"]);
        assert!(help.status.success());
        let expected: &[&str] = match program {
            "ws-gateway" => &["GATEWAY_LISTEN", "GATEWAY_LOGIN_TTL", "NOTIFY_KEY", "WECHAT_APP_SECRET"],
            "callback-service" => &["CALLBACK_LISTEN", "CALLBACK_TEXT_FIRST", "WECHAT_AES_KEY", "NOTIFY_KEY"],
            _ => &["SIMULATOR_LISTEN", "SIMULATOR_PUSH_URL"],
        };
        for name in expected {
            assert!(text(&help.stdout).contains(name), "{program} --help does not name {name}");
        }
    }
}

/// Compose files and unit files pass empty variables for what was left out; but an empty text is one that is not sent.
#[test]
fn only_a_text_may_be_set_to_nothing() {
    let mut settings = good("callback-service");
    settings.extend([("CALLBACK_TEXT_GREETING", String::new()), ("CALLBACK_MESSAGES", String::new())]);
    // The help does not name a variable that counts as not set.
    let help = text(&output("callback-service", &settings, &["--help"]).stdout);
    assert!(
        help.contains("[env: CALLBACK_TEXT_GREETING=]") && !help.contains("[env: CALLBACK_MESSAGES"),
        "{help}"
    );
}

#[test]
fn a_wrong_setting_ends_the_start_with_one_line_that_names_it() {
    let cases: &[(&str, &str, &str)] = &[
        ("ws-gateway", "GATEWAY_LISTEN", "1099"),
        ("ws-gateway", "GATEWAY_NOTIFY_LISTEN", "0.0.0.0:9999"),
        ("ws-gateway", "GATEWAY_NOTIFY_CLIENTS", "/nowhere/clients.toml"),
        ("ws-gateway", "GATEWAY_NOTIFY_TLS_CERT", "/nowhere/gateway.pem"),
        ("ws-gateway", "GATEWAY_LOGIN_TTL", "120"),
        ("ws-gateway", "GATEWAY_STORE", "redis//localhost"),
        ("ws-gateway", "GATEWAY_ALLOWED_ORIGINS", "example.com"),
        ("ws-gateway", "GATEWAY_ACCENT", "#07c160"),
        ("ws-gateway", "GATEWAY_LINKS", "Terms=http://example.com"),
        ("ws-gateway", "GATEWAY_WAYS", "scan,phone"),
        ("ws-gateway", "GATEWAY_WAYS", "wechat"),
        ("ws-gateway", "GATEWAY_QR", "web"),
        ("ws-gateway", "GATEWAY_WEB_URL", "login.example.com"),
        ("ws-gateway", "GATEWAY_ACCOUNT_QR", "/nowhere/account.png"),
        ("ws-gateway", "NOTIFY_KEY", "too-short-to-be-a-key"),
        ("ws-gateway", "WECHAT_APP_SECRET", ""),
        ("ws-gateway", "WECHAT_APP_ID", ""),
        ("callback-service", "CALLBACK_GATEWAY", "gateway"),
        ("callback-service", "CALLBACK_GATEWAY_TLS", "yes"),
        ("callback-service", "CALLBACK_GATEWAY_CA", "/nowhere/ca.pem"),
        ("callback-service", "CALLBACK_STORE", "mysql:x"),
        ("callback-service", "WECHAT_MODE", "plain"),
        ("callback-service", "CALLBACK_MESSAGES", "reply"),
        ("callback-service", "CALLBACK_RELAY_URL", "https://no good token!"),
        ("callback-service", "WECHAT_TOKEN", "no good token!"),
        ("callback-service", "WECHAT_AES_KEY", "tooshort"),
        ("callback-service", "WECHAT_PUSH_MAX_AGE", "5"),
        ("callback-service", "CALLBACK_KEY_AGE", "90"),
        ("callback-service", "CALLBACK_PUBLIC_URL", "https://id.example.cn"),
        ("callback-service", "CALLBACK_ACCENT", "#07803"),
        ("callback-service", "LOG_FORMAT", "xml"),
        ("callback-service", "RUST_LOG", "inof"),
        ("callback-service", "LOG_OPENIDS", "half"),
        ("callback-service", "OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("callback-service", "ALL_PROXY", "socks5://127.0.0.1:1080"),
        ("ws-gateway", "HTTPS_PROXY", "socks5h://127.0.0.1:1080"),
    ];
    for (program, name, value) in cases {
        let mut settings = good(program);
        settings.insert(name, (*value).to_owned());
        let ended = output(program, &settings, &[]);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(64), "{program} {name}={value}: {said}");
        let said_plainly = said.to_uppercase().replace('-', "_");
        assert!(said_plainly.contains(name), "{program} {name}={value}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{program} {name}={value}: {said}");
        for secret in ["a-secret-never-shown", "atokennevershown", "too-short-to-be-a-key", "no good token"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

/// What is copied along with a secret, and how the start names it. Ids and secrets are the same here.
/// Whoever opens a pipe waits until somebody writes into it.
#[test]
fn a_file_that_is_a_pipe_is_named_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("MP_verify_pipe.txt");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (program, setting) in [
        ("ws-gateway", "WECHAT_ACCOUNTS"),
        ("ws-gateway", "GATEWAY_ACCOUNT_QR"),
        ("ws-gateway", "GATEWAY_NOTIFY_CLIENTS"),
        ("callback-service", "WECHAT_ACCOUNTS"),
        ("callback-service", "CALLBACK_SITES"),
        ("callback-service", "CALLBACK_WECHAT_SERVER"),
        ("callback-service", "CALLBACK_MP_VERIFY"),
        ("callback-service", "CALLBACK_GEO_FILE"),
    ] {
        let mut settings = good(program);
        if setting == "CALLBACK_SITES" {
            for name in ["CALLBACK_PUBLIC_URL", "CALLBACK_BROWSER_URL"] {
                settings.insert(name, "https://id.example.cn".to_owned());
            }
        }
        settings.insert(setting, pipe.display().to_string());
        let mut limited = Command::new("timeout");
        limited.arg(PATIENCE.as_secs().to_string()).arg(e2e::programs::program(program));
        let ended = limited.env_clear().envs(&settings).output().unwrap();
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(64), "{program} {setting}: {said}");
        let said_plainly = said.to_uppercase().replace('-', "_");
        assert!(said_plainly.contains(setting) && said.contains("no regular file"), "{said}");
    }
}

#[test]
fn what_nobody_sees_in_a_secret_or_an_id_is_named_and_the_secret_is_not_shown() {
    let names: &[(&str, &[&str])] = &[
        ("ws-gateway", &["WECHAT_APP_ID", "WECHAT_APP_SECRET", "NOTIFY_KEY", "GATEWAY_REDIS_PASSWORD"]),
        (
            "callback-service",
            &[
                "WECHAT_APP_ID",
                "WECHAT_ORIGINAL_ID",
                "WECHAT_APP_SECRET",
                "WECHAT_TOKEN",
                "WECHAT_TOKEN_PREVIOUS",
                "WECHAT_AES_KEY",
                "WECHAT_AES_KEY_PREVIOUS",
                "NOTIFY_KEY",
                "CALLBACK_REDIS_PASSWORD",
            ],
        ),
    ];
    const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
    for (program, names) in names {
        for name in *names {
            for (before, after, said) in [
                ("\u{feff}", "", "a byte order mark (U+FEFF) at its start"),
                ("", " ", "a blank (U+0020) at its end"),
                ("", "\t\r\n", "a tab (U+0009) at its end"),
                ("\"", "\"", "a quotation mark (U+0022) around it"),
                ("", "\u{200b}", "a zero-width space (U+200B) at its end"),
                ("", "\r\nx", "a carriage return (U+000D) inside"),
            ] {
                let mut settings = good(program);
                settings.insert(name, format!("{before}{KEY}{after}"));
                let ended = output(program, &settings, &[]);
                let complaint = text(&ended.stderr);
                assert_eq!(ended.status.code(), Some(64), "{program} {name}: {complaint}");
                let plainly = complaint.to_uppercase().replace('-', "_");
                assert!(plainly.contains(name) && complaint.contains(said), "{name}: {complaint}");
                assert!(name.ends_with("_ID") || !complaint.contains(KEY), "{complaint}");
                assert_eq!(complaint.trim_end().lines().count(), 1, "{complaint}");
            }
        }
    }
}

#[test]
fn the_demos_printed_secrets_are_for_a_simulated_wechat_only() {
    let demo = include_str!("../../../deploy/compose.yaml");
    let printed = |name: &str| {
        let line = demo.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("deploy/compose.yaml has no {name}")).to_owned()
    };
    for (program, names) in [
        ("ws-gateway", &["NOTIFY_KEY", "WECHAT_APP_SECRET"][..]),
        ("callback-service", &["NOTIFY_KEY", "WECHAT_APP_SECRET", "WECHAT_TOKEN", "WECHAT_AES_KEY"]),
    ] {
        for name in names {
            let mut settings = good(program);
            settings.insert(name, printed(name));
            let ended = output(program, &settings, &[]);
            let said = text(&ended.stderr);
            assert_eq!(ended.status.code(), Some(64), "{program} {name}: {said}");
            assert!(said.starts_with(&format!("{program}: {name}: is the demo's")), "{said}");
            assert!(!said.contains(&printed(name)), "{said}");
            // With the demo's own WeChat it is not what is wrong.
            settings.insert("WECHAT_API_URL", "http://simulator:8090".to_owned());
            settings.insert("RUST_LOG", "[[[".to_owned());
            let said = text(&output(program, &settings, &[]).stderr);
            assert!(said.contains("RUST_LOG"), "{program} {name}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_says_whether_the_program_is_ready() {
    let mut fleet = Fleet::prepare(Options::one_of_each()).await;
    let (gateway, callback) = (fleet.gateways[0].admin.to_string(), fleet.callbacks[0].admin.to_string());
    let health = |program, flag, admin: &str| {
        let asked =
            block_in_place(|| output(program, &HashMap::new(), &["health", &format!("{flag}={admin}")]));
        (asked.status.code().unwrap(), text(&asked.stderr))
    };
    let of_gateway = || health("ws-gateway", "--gateway-admin-listen", &gateway);
    let of_callback = || health("callback-service", "--callback-admin-listen", &callback);
    let (code, why) = of_callback();
    assert!(code == 1 && why.contains("does not answer"), "{why}");
    fleet.callbacks[0].start();
    let (code, why) = of_callback();
    assert!(code == 1 && why.contains("no gateway has been reached yet"), "{why}");
    fleet.gateways[0].start();
    fleet.until_ready().await;
    assert_eq!([of_gateway(), of_callback()], [(0, String::new()), (0, String::new())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_for_the_web_is_not_on_the_way_to_this_machine() {
    let proxy = format!("http://127.0.0.1:{}", free_port());
    let gateway = vec![("http_proxy", proxy.clone()), ("ALL_PROXY", proxy)];
    let fleet = Fleet::start(Options { gateway, ..Options::one_of_each() }).await;
    Page::open(fleet.gateways[0].public).await.code().await;
}

/// A proxy that lets nobody through.
async fn strict_proxy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut question = Vec::new();
            while !question.ends_with(b"\r\n\r\n") {
                question.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        }
    });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_proxy_refuses_is_told_with_the_variable_that_names_it() {
    let proxy = strict_proxy().await;
    for (variable, api) in
        [("http_proxy", "http://wechat.example"), ("HTTPS_PROXY", "https://wechat.example")]
    {
        let mut settings = good("ws-gateway");
        settings.extend([(variable, proxy.clone()), ("WECHAT_API_URL", api.to_owned())]);
        for port in ["GATEWAY_LISTEN", "GATEWAY_NOTIFY_LISTEN", "GATEWAY_ADMIN_LISTEN"] {
            settings.insert(port, "127.0.0.1:0".to_owned());
        }
        // It asks for codes at once, so that they are ready.
        let program = block_in_place(|| Program::start("ws-gateway", &settings));
        let mut log = String::new();
        let told = async {
            while !log.contains(&format!("the proxy that {variable} names")) {
                log += &program.log();
                sleep(Duration::from_millis(20)).await;
            }
        };
        let told = timeout(PATIENCE, told).await;
        assert!(told.is_ok(), "{variable}: {log}");
    }
}

/// One setting as `--help` shows it.
struct Shown {
    name: String,
    default: String,
    meaning: String,
}

/// The settings of a program's `--help`, in its order; secrets last.
fn shown(help: &str) -> Vec<Shown> {
    let (options, secrets) = help.split_once("Secrets have no flag.").expect("--help ends with the secrets");
    let mut all = Vec::new();
    for option in options.split("\n      --").skip(1) {
        // clap writes [env: GATEWAY_LISTEN=], or without the sign where the value may be a secret.
        let Some((_, after)) = option.split_once("[env: ") else { continue };
        let name = after.split(['=', ']']).next().unwrap().to_owned();
        let default = option.split_once("[default: ").map(|(_, rest)| rest.split("]\n").next().unwrap());
        let default = default.map_or_else(|| "–".to_owned(), |text| format!("`{}`", text.trim_matches('"')));
        // The flag's line comes first, then the text, then what stands in brackets.
        let lines = option.lines().skip(1).map(str::trim).take_while(|line| !line.starts_with("[env: "));
        let lines = lines.filter(|line| !line.starts_with("[default: ") && !line.is_empty());
        let meaning = lines.collect::<Vec<_>>().join(" ");
        let meaning = meaning.replace(" Possible values: - ", ": ").replace(" - ", "; ");
        all.push(Shown { name, default, meaning });
    }
    for line in secrets.lines().skip(1) {
        let line = line.trim_end();
        match line.strip_prefix("  ").and_then(|line| line.split_once("  ")) {
            Some((name, meaning)) if !name.is_empty() && !name.starts_with(' ') => all.push(Shown {
                name: name.to_owned(),
                default: "secret".to_owned(),
                meaning: meaning.trim().to_owned(),
            }),
            // A long meaning goes on in the next line.
            _ if !line.trim().is_empty() => {
                let last = all.last_mut().expect("a secret has a name");
                last.meaning = format!("{} {}", last.meaning, line.trim());
            }
            _ => {}
        }
    }
    all
}

fn table(program: &str) -> String {
    let help = text(&output(program, &HashMap::new(), &["--help"]).stdout);
    let all = shown(&help);
    assert!(all.len() > 10, "{program}: {}", all.len());
    let rows = all.iter().map(|Shown { name, default, meaning }| {
        assert!(!meaning.is_empty(), "{name} has no meaning in --help");
        format!("| `{name}` | {default} | {} |\n", meaning.replace('|', "\\|").replace('*', "\\*"))
    });
    format!("| setting | default | meaning |\n|---|---|---|\n{}", rows.collect::<String>())
}

/// `WRITE_SETTINGS=1 cargo test --workspace --test settings document` writes the page anew.
#[test]
fn the_document_of_settings_is_what_help_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");
    let document = std::fs::read_to_string(path).unwrap();
    let mut written = document.clone();
    for program in ["ws-gateway", "callback-service"] {
        let (begin, end) = (format!("<!-- {program} --help -->\n\n"), "\n<!-- end -->");
        let (before, rest) = written.split_once(&begin).expect("docs/settings.md has the mark");
        let (_, after) = rest.split_once(end).expect("docs/settings.md has the end's mark");
        written = format!("{before}{begin}{}{end}{after}", table(program));
    }
    if std::env::var_os("WRITE_SETTINGS").is_some() {
        std::fs::write(path, &written).unwrap();
    } else {
        assert!(
            written == document,
            "--help has changed; write docs/settings.md anew: see this test's comment"
        );
    }
}

/// By these the doctors tell a name that was typed wrong. `WRITE_SETTINGS=1` writes them anew, as above.
#[test]
fn the_document_of_names_that_doctor_knows_is_what_help_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/doctor/src/settings.txt");
    let of = |program| {
        let shown = shown(&text(&output(program, &HashMap::new(), &["--help"]).stdout));
        shown.into_iter().flat_map(|Shown { name, default, .. }| {
            let by_file = (default == "secret").then(|| format!("{name}_FILE"));
            [Some(name), by_file].into_iter().flatten()
        })
    };
    // The key is in the text behind its options, and is the services' too.
    let help = text(&output("notify", &HashMap::new(), &["--help"]).stdout);
    let of_notify =
        help.split("[env: ").skip(1).map(|rest| rest.split(['=', ']']).next().unwrap().to_owned());
    let of_notify: Vec<String> = of_notify.collect();
    assert!(of_notify.len() > 5, "{help}");
    let names: BTreeSet<String> = of("ws-gateway").chain(of("callback-service")).chain(of_notify).collect();
    let ours = ["CALLBACK_", "GATEWAY_", "WECHAT_", "NOTIFY_"];
    let names = names.into_iter().filter(|name| ours.iter().any(|prefix| name.starts_with(prefix)));
    let written: String = names.map(|name| name + "\n").collect();
    if std::env::var_os("WRITE_SETTINGS").is_some() {
        std::fs::write(path, &written).unwrap();
    } else {
        let known = std::fs::read_to_string(path).unwrap();
        assert!(
            written == known,
            "--help has changed; write crates/doctor/src/settings.txt anew: see this test's comment"
        );
    }
}

/// A setting's text as comments of at most this many characters a line.
fn comment(meaning: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in meaning.split_whitespace() {
        let last = lines.last_mut().unwrap();
        match last.chars().count() + word.chars().count() < 115 {
            true => last.extend([" ", word]),
            false => lines.push(format!("# {word}")),
        }
    }
    lines.join("\n")
}

/// deploy/systemd/PROGRAM.env after its head: every setting that is no secret, with its default.
fn unit_settings(program: &str) -> String {
    let help = text(&output(program, &HashMap::new(), &["--help"]).stdout);
    let all = shown(&help);
    let mut written = String::new();
    for Shown { name, default, meaning } in all.iter().filter(|setting| setting.default != "secret") {
        let line = match (&**name, &**default) {
            ("WECHAT_APP_ID", _) => "WECHAT_APP_ID=wx................".to_owned(),
            (_, "–") => format!("#{name}="),
            (_, default) => format!("#{name}={}", default.trim_matches('`')),
        };
        written += &format!("{}\n{line}\n\n", comment(meaning));
    }
    let part = program.replace('-', "_");
    let logged =
        format!("What is logged: error, warn, info, debug, or one for each part, such as info,{part}=debug");
    let proxy = "An HTTP proxy with a fixed address, through which WeChat's API is asked, such as http://proxy.internal:3128. SOCKS is not spoken";
    let traces = "A collector of traces, such as http://collector:4318; docs/logs.md has the other variables of OpenTelemetry that are read";
    let more =
        [(&*logged, "RUST_LOG=info"), (traces, "OTEL_EXPORTER_OTLP_ENDPOINT="), (proxy, "HTTPS_PROXY=")];
    let more = more.map(|(meaning, line)| format!("{}\n#{line}\n", comment(meaning)));
    written + &more.join("\n")
}

/// `WRITE_SETTINGS=1 cargo test --workspace --test settings document` writes them anew.
#[test]
fn the_documents_for_units_are_what_help_says() {
    for program in ["ws-gateway", "callback-service"] {
        let path = format!("{}/../../deploy/systemd/{program}.env", env!("CARGO_MANIFEST_DIR"));
        let document = std::fs::read_to_string(&path).unwrap();
        let (head, _) = document.split_once("\n\n").expect("the file has a head");
        let written = format!("{head}\n\n{}", unit_settings(program));
        if std::env::var_os("WRITE_SETTINGS").is_some() {
            std::fs::write(&path, &written).unwrap();
        } else {
            assert!(
                written == document,
                "--help has changed; write {program}.env anew: see this test's comment"
            );
        }
    }
}
