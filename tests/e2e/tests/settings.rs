//! What an operator types: help, versions, and wrong settings, each answered by one line and exit code 64.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::collections::HashMap;

use e2e::fleet::{Fleet, Options};
use e2e::programs::{output, text};
use tokio::task::block_in_place;

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
        ("ws-gateway", "NOTIFY_KEY", "too-short-to-be-a-key"),
        ("ws-gateway", "WECHAT_APP_SECRET", ""),
        ("ws-gateway", "WECHAT_APP_ID", ""),
        ("callback-service", "CALLBACK_GATEWAY", "gateway"),
        ("callback-service", "CALLBACK_GATEWAY_TLS", "yes"),
        ("callback-service", "CALLBACK_GATEWAY_CA", "/nowhere/ca.pem"),
        ("callback-service", "CALLBACK_STORE", "mysql:x"),
        ("callback-service", "WECHAT_MODE", "plain"),
        ("callback-service", "WECHAT_TOKEN", "no good token!"),
        ("callback-service", "WECHAT_AES_KEY", "tooshort"),
        ("callback-service", "WECHAT_PUSH_MAX_AGE", "5"),
        ("callback-service", "LOG_FORMAT", "xml"),
        ("callback-service", "RUST_LOG", "[[["),
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

#[test]
fn the_readme_names_every_setting() {
    let readme = include_str!("../../../README.md");
    for program in ["ws-gateway", "callback-service"] {
        let help = text(&output(program, &HashMap::new(), &["--help"]).stdout);
        // clap writes them as [env: GATEWAY_LISTEN=], or without the sign where the value may be a secret.
        let names: Vec<&str> =
            help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next()).collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            // Texts are listed by their endings.
            let ending = name.strip_prefix("CALLBACK_TEXT").unwrap_or(name);
            assert!(readme.contains(&format!("{ending}`")), "README.md does not name {name}");
        }
    }
}
