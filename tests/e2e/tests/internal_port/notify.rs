//! The program `notify`, as scripts use it.

use std::process::Output;

use e2e::programs::{self, text};
use test_certificates::Authority;

use super::*;

/// Runs it against `address`, which may be followed by more flags; gives the exit code and what it printed.
async fn notify(key: &str, arguments: Vec<String>) -> (i32, String, String) {
    // As compose files pass what an operator left out.
    let mut settings: HashMap<_, _> =
        ["NOTIFY_GATEWAY", "NOTIFY_CLIENT", "NOTIFY_TLS", "NOTIFY_CA", "NOTIFY_NAME", "NOTIFY_KEY_FILE"]
            .map(|name| (name, String::new()))
            .into();
    settings.insert("NOTIFY_KEY", key.to_owned());
    let run = move || -> Output {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        programs::output("notify", &settings, &arguments)
    };
    let done = tokio::task::spawn_blocking(run).await.unwrap();
    (done.status.code().unwrap(), text(&done.stdout), text(&done.stderr))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_code_says_what_came_of_it() {
    let port = Port::start(&entry("shop", &[SHOP_KEY], &["scan", "claim", "query"])).await;
    let (mut page, scene) = port.page().await;
    let (scene, unknown) = (scene.to_string(), Scene::random().to_string());
    let to = ["--gateway", &port.address(), "--client", "shop"];
    for (arguments, code, say) in [
        (&["query", &scene][..], 0, r#""state":"waiting""#),
        (&["claim", &scene, "--by", "oAlice"][..], 0, r#""status":"delivered""#),
        (&["scan", &scene, "--by", "oBob"][..], 1, r#""status":"taken""#),
        (&["scan", &scene, "--by", "oAlice", "--nickname", "阿狸"][..], 0, r#""state":"granted""#),
        (&["scan", &scene, "--by", "oAlice"][..], 0, r#""repeat":true"#),
        (&["scan", &unknown][..], 1, r#""status":"unknown""#),
        (&["deny", &scene][..], 77, r#""status":"forbidden""#),
        (&["claim", &scene, "--by", ""][..], 64, r#""status":"bad""#),
        (&["ping"][..], 0, "pong"),
    ] {
        let (went, printed, complained) = notify(SHOP_KEY, words(&[&to, arguments].concat())).await;
        assert_eq!((went, complained.as_str()), (code, ""), "{arguments:?}: {printed}");
        assert!(printed.contains(say) && printed.lines().count() == 1, "{arguments:?}: {printed}");
    }
    page.expect("scanned").await;
    assert_eq!(page.expect("scan_success").await["user"], "阿狸");

    let away = ["--gateway", "127.0.0.1:1", "--within", "1"];
    for (key, arguments, code, say) in [
        (e2e::fleet::NOTIFY_KEY, [&to[..], &["query", &scene]].concat(), 77, "unauthorized"),
        (SHOP_KEY, [&away[..], &["query", &scene]].concat(), 75, "127.0.0.1:1: Connection refused"),
        ("short", [&to[..], &["query", &scene]].concat(), 64, "NOTIFY_KEY: a key has at least 32"),
        ("", [&to[..], &["query", &scene]].concat(), 64, "NOTIFY_KEY: is not set"),
        (
            &format!("\u{feff}{SHOP_KEY}"),
            [&to[..], &["ping"]].concat(),
            64,
            "NOTIFY_KEY: has a byte order mark (U+FEFF) at its start",
        ),
        (
            &format!("{SHOP_KEY} "),
            [&to[..], &["ping"]].concat(),
            64,
            "NOTIFY_KEY: has a blank (U+0020) at its end",
        ),
        (
            &format!("\"{SHOP_KEY}\""),
            [&to[..], &["ping"]].concat(),
            64,
            "NOTIFY_KEY: has a quotation mark (U+0022) around it",
        ),
        (
            &format!("{SHOP_KEY}\u{200b}"),
            [&to[..], &["ping"]].concat(),
            64,
            "NOTIFY_KEY: has an invisible character (U+200B) at",
        ),
        (SHOP_KEY, [&to[..], &["query", "scene"]].concat(), 64, "22 characters"),
        (SHOP_KEY, [&to[..], &["--ca", "x", "query", &scene]].concat(), 64, "--tls"),
    ] {
        let (went, printed, complained) = notify(key, words(&arguments)).await;
        assert_eq!((went, printed.as_str()), (code, ""), "{arguments:?}: {complained}");
        assert!(complained.contains(say), "{arguments:?}: {complained}");
        assert!(!complained.contains(SHOP_KEY), "{complained}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_speaks_tls_and_says_what_is_wrong_with_it() {
    let mut authority = None;
    let port = Port::start_with(&entry("shop", &[SHOP_KEY], &["query"]), |folder, _| {
        let ours = Authority::new(folder.path(), "ours");
        let own = ours.sign("gateway", &["gateway.internal"]);
        authority = Some(ours.certificate);
        vec![
            ("GATEWAY_NOTIFY_TLS_CERT", own.certificate.to_str().unwrap().to_owned()),
            ("GATEWAY_NOTIFY_TLS_KEY", own.key.to_str().unwrap().to_owned()),
        ]
    })
    .await;
    let authority = authority.unwrap().to_str().unwrap().to_owned();
    let to = ["--gateway", &port.address(), "--client", "shop", "--within", "1", "ping"];
    for (flags, code, say) in [
        (&["--tls", "--ca", &authority, "--name", "gateway.internal"][..], 0, ""),
        (&["--tls", "--ca", &authority][..], 75, "not valid for name"),
        (&["--tls", "--name", "gateway.internal"][..], 75, "UnknownIssuer"),
        (&["--tls", "--ca", "/nowhere/ca.pem"][..], 64, "/nowhere/ca.pem: "),
    ] {
        let (went, _, complained) = notify(SHOP_KEY, words(&[&to[..], flags].concat())).await;
        assert_eq!(went, code, "{flags:?}: {complained}");
        assert!(complained.contains(say), "{flags:?}: {complained}");
    }
}

/// The client in PROTOCOL.md, as somebody who copies it would call it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_in_the_specification_works() {
    const CALL: &str = "
import sys
port, key, scene, ca = sys.argv[1:]
tls = ssl.create_default_context(cafile=ca)
notice = {\"type\": \"scan\", \"scene\": scene, \"by\": \"oAlice\", \"nickname\": \"阿狸\"}
print(notify((\"127.0.0.1\", int(port)), \"shop\", key, notice, tls)[\"status\"])
";
    let mut authority = None;
    let port = Port::start_with(&entry("shop", &[SHOP_KEY], &["scan"]), |folder, _| {
        let ours = Authority::new(folder.path(), "ours");
        let own = ours.sign("gateway", &["127.0.0.1"]);
        authority = Some(ours.certificate);
        vec![
            ("GATEWAY_NOTIFY_TLS_CERT", own.certificate.to_str().unwrap().to_owned()),
            ("GATEWAY_NOTIFY_TLS_KEY", own.key.to_str().unwrap().to_owned()),
        ]
    })
    .await;
    let document = include_str!("../../../../protocol/PROTOCOL.md");
    let code = document.split("```python\n").nth(1).unwrap().split("```").next().unwrap().to_owned() + CALL;
    let (mut page, scene) = port.page().await;
    let number = port.fleet.gateways[0].notices.port().to_string();
    let mut python = std::process::Command::new("python3");
    python.args(["-c", &code, &number, SHOP_KEY, scene.as_str()]).arg(authority.unwrap());
    let done = tokio::task::spawn_blocking(move || python.output().unwrap()).await.unwrap();
    assert_eq!(text(&done.stdout).trim(), "delivered", "{}", text(&done.stderr));
    assert_eq!(page.expect("scan_success").await["user"], "阿狸");
}
