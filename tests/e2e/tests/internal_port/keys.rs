//! Clients, their rights and their keys, and the file that says them.

use e2e::programs::{output, text};
use test_certificates::Authority;

use super::tls::{trust, with_certificate};
use super::*;

const NEW_KEY: &str = "the key that takes the other's place";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_may_what_their_entries_say() {
    let port =
        Port::start(&(entry("shop", &[SHOP_KEY], &["scan"]) + &entry("till", &[NEW_KEY], &["query"]))).await;
    let (shop, till) = (port.client("shop", SHOP_KEY, None), port.client("till", NEW_KEY, None));
    let callback = port.client("callback", e2e::fleet::NOTIFY_KEY, None);
    let (mut page, scene) = port.page().await;
    let query = Notice::Query { scene };
    assert_eq!(status(&shop, query.clone()).await, Status::Forbidden);
    assert_eq!(status(&till, scan(scene, "oAlice")).await, Status::Forbidden);
    assert_eq!(callback.send(query.clone(), soon()).await.unwrap().state.unwrap().to_string(), "waiting");
    assert_eq!(status(&till, query).await, Status::Ok);
    assert_eq!(status(&shop, scan(scene, "oAlice")).await, Status::Delivered);
    page.expect("scan_success").await;

    // One's name and another's key prove nobody.
    let before = port.metric("gateway_unauthorized_total").await;
    let wrong = port.client("shop", NEW_KEY, None);
    assert!(matches!(turned_away(&wrong).await, Link::Refused { code, .. } if code == "unauthorized"));
    assert!(port.metric("gateway_unauthorized_total").await > before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_changed_under_load_and_no_notice_is_refused() {
    let may = ["query"];
    let port = Port::start(&entry("shop", &[SHOP_KEY], &may)).await;
    let (_page, scene) = port.page().await;
    let old = port.client("shop", SHOP_KEY, None);
    let flow = Flow::start(&old, scene);
    let others = port.client("callback", e2e::fleet::NOTIFY_KEY, None);
    let beside = Flow::start(&others, scene);

    let log = port.replace(&entry("shop", &[SHOP_KEY, NEW_KEY], &may)).await;
    assert!(log.contains("the clients were read again"), "{log}");
    let new = port.client("shop", NEW_KEY, None);
    new.connected().await;
    // What is sent from now on goes with the new key; the gateway says who still uses the old one.
    let next = Flow::start(&new, scene);
    assert_eq!(port.metric("gateway_clients{client=\"shop\",key=\"1\"}").await, 1);
    assert_eq!(port.metric("gateway_clients{client=\"shop\",key=\"2\"}").await, 1);
    assert!(flow.end().await > 0);
    drop(old);
    port.metric_becomes("gateway_clients{client=\"shop\",key=\"1\"}", 0).await;

    let late = port.client("shop", SHOP_KEY, None);
    late.connected().await;
    port.replace(&entry("shop", &[NEW_KEY], &may)).await;
    // Whoever came with the old key all the same is sent away, and stays outside.
    assert!(matches!(turned_away(&late).await, Link::Refused { code, .. } if code == "unauthorized"));
    assert!(new.is_connected());
    assert!(next.end().await > 0 && beside.end().await > 0);
    assert_eq!(port.metric("gateway_proofs_total{client=\"shop\",key=\"2\"}").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_file_changes_nothing_and_says_so() {
    let port = Port::start(&entry("shop", &[SHOP_KEY], &["query"])).await;
    let (_page, scene) = port.page().await;
    let shop = port.client("shop", SHOP_KEY, None);
    let flow = Flow::start(&shop, scene);
    for wrong in [
        "name = \"shop\"".to_owned(),
        entry("shop", &["short"], &["query"]),
        entry("callback", &[NEW_KEY], &["query"]),
        entry("shop", &[e2e::fleet::NOTIFY_KEY], &["query"]),
    ] {
        let log = port.replace(&wrong).await;
        assert!(log.contains("GATEWAY_NOTIFY_CLIENTS: ") && log.contains("stay as they were"), "{log}");
        assert!(!log.contains(SHOP_KEY) && !log.contains(e2e::fleet::NOTIFY_KEY), "{log}");
    }
    std::fs::remove_file(&port.clients).unwrap();
    assert!(port.read_again("stay as they were").await.contains("No such file"));
    assert!(shop.is_connected());
    assert!(flow.end().await > 0);
    assert_eq!(status(&port.client("shop", SHOP_KEY, None), Notice::Query { scene }).await, Status::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_does_not_come_holds_nothing_up() {
    let mut made = None;
    let mut port = Port::start_with(&entry("shop", &[SHOP_KEY], &["scan"]), |folder, _| {
        let ca = Authority::new(folder.path(), "ours");
        let own = ca.sign("own", &["127.0.0.1"]);
        let settings = with_certificate(&own);
        made = Some((ca, own));
        settings
    })
    .await;
    let (ca, own) = made.unwrap();
    let certificate = std::fs::read(&own.certificate).unwrap();
    pipe_in_place_of(&own.certificate);
    // Nobody writes into the pipe, so whoever opens it waits.
    port.fleet.gateways[0].program().hang_up();
    let (mut page, scene) = port.page().await;
    assert_eq!(port.metric("gateway_pages").await, 1);
    let client = port.client("shop", SHOP_KEY, trust(&ca));
    assert_eq!(status(&client, scan(scene, "oAlice")).await, Status::Delivered);
    page.expect("scan_success").await;
    let log = port.read_again("could not be read within").await;
    assert!(log.contains("Everything stays as it was"), "{log}");

    // The next signal is heard, whatever became of the one before. A pipe that is meant for clients is not opened at all.
    std::fs::remove_file(&own.certificate).unwrap();
    std::fs::write(&own.certificate, certificate).unwrap();
    pipe_in_place_of(&port.clients);
    port.read_again("it is no regular file").await;
    std::fs::remove_file(&port.clients).unwrap();
    let log = port.replace(&entry("till", &[NEW_KEY], &["scan"])).await;
    assert!(log.contains("the clients were read again"), "{log}");
    let program = port.fleet.gateways[0].program_mut();
    let ended = tokio::task::block_in_place(|| program.terminate_within(PATIENCE));
    assert!(ended.unwrap().success());
}

fn pipe_in_place_of(file: &std::path::Path) {
    std::fs::remove_file(file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(file).status().unwrap();
    assert!(made.success());
}

/// Whoever reads that it listens may send one, and until it is taken over SIGHUP ends a process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hang_up_as_soon_as_it_listens_is_heard() {
    for _ in 0..5 {
        let port = Port::start(&entry("shop", &[SHOP_KEY], &["scan"])).await;
        port.read_again("the clients were read again").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_the_program_makes_lets_a_client_in() {
    let port = Port::start(&entry("shop", &[SHOP_KEY], &["query"])).await;
    let made = output("ws-gateway", &HashMap::new(), &["client-key", "till"]);
    assert!(made.status.success());
    let made = text(&made.stdout);
    let key = made.lines().find_map(|line| line.strip_prefix("keys = [\"")?.strip_suffix("\"]")).unwrap();
    let before = std::fs::read_to_string(&port.clients).unwrap();
    port.replace(&(before + "\n" + &made)).await;
    let (mut page, scene) = port.page().await;
    assert_eq!(status(&port.client("till", key, None), scan(scene, "oAlice")).await, Status::Delivered);
    page.expect("scan_success").await;

    for (arguments, say) in [(&["client-key"][..], "<NAME>"), (&["client-key", "a b"][..], "letters")] {
        let wrong = output("ws-gateway", &HashMap::new(), arguments);
        assert_eq!(wrong.status.code(), Some(64));
        assert!(text(&wrong.stderr).contains(say), "{}", text(&wrong.stderr));
    }
}
