//! The internal port with certificates on one side or both.

use std::fs;
use std::path::Path;
use std::process::Command;

use test_certificates::{Authority, Identity};

use super::*;

/// The gateway's settings for a certificate of its own.
pub(super) fn with_certificate(own: &Identity) -> Vec<(&'static str, String)> {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    vec![("GATEWAY_NOTIFY_TLS_CERT", text(&own.certificate)), ("GATEWAY_NOTIFY_TLS_KEY", text(&own.key))]
}

pub(super) fn trust(ca: &Authority) -> Option<ClientTls> {
    Some(ClientTls { ca: Some(ca.certificate.clone()), ..ClientTls::default() })
}

fn put(new: &Identity, in_place_of: &Identity) {
    fs::copy(&new.certificate, &in_place_of.certificate).unwrap();
    fs::copy(&new.key, &in_place_of.key).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_logs_in_with_certificates_on_both_sides_and_nobody_without() {
    let mut ca = None;
    let mut port = Port::start_with("[[client]]", |folder, _| {
        let ours = Authority::new(folder.path(), "ours");
        let mut settings = with_certificate(&ours.sign("gateway", &["127.0.0.1"]));
        settings.push(("GATEWAY_NOTIFY_TLS_CLIENT_CA", ours.certificate.to_str().unwrap().to_owned()));
        // No clients beside callback.
        settings.push(("GATEWAY_NOTIFY_CLIENTS", String::new()));
        ca = Some(ours);
        settings
    })
    .await;
    let ca = ca.unwrap();
    let own = ca.sign("callback", &[]);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let callback = &mut port.fleet.callbacks[0];
    callback.set("CALLBACK_GATEWAY_TLS", "true".to_owned());
    callback.set("CALLBACK_GATEWAY_CA", text(&ca.certificate));
    callback.start();
    let why = async {
        loop {
            let answer = reqwest::get(format!("http://{}/readyz", callback.admin)).await.unwrap();
            assert_eq!(answer.status().as_u16(), 503);
            let why = answer.text().await.unwrap();
            if why.contains("CertificateRequired") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, why).await.expect("it says that a certificate is needed");
    callback.kill();
    callback.set("CALLBACK_GATEWAY_CERT", text(&own.certificate));
    callback.set("CALLBACK_GATEWAY_KEY", text(&own.key));
    callback.start();
    port.fleet.until_ready().await;

    let mut page = Page::open(port.fleet.gateways[0].public).await;
    let code = page.code().await;
    let person = port.fleet.wechat.invent_person("阿狸", true);
    port.fleet.wechat.scan(&person.openid, &code.content).await.unwrap();
    page.expect("scanned").await;
    assert_eq!(page.expect("scan_success").await["user"], "阿狸");

    // Without a certificate the right key is worth nothing, and in plain text neither.
    let key = e2e::fleet::NOTIFY_KEY;
    let naked = turned_away(&port.client("callback", key, trust(&ca))).await;
    assert!(naked.to_string().contains("CertificateRequired"), "{naked}");
    let plain = turned_away(&port.client("callback", key, None)).await;
    assert!(plain.to_string().contains("does its port expect TLS?"), "{plain}");
    assert!(port.metric("gateway_tls_failures_total").await >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_replaced_while_notices_flow() {
    let mut made = None;
    let port = Port::start_with(&entry("shop", &[SHOP_KEY], &["query"]), |folder, _| {
        let (old, new) = (Authority::new(folder.path(), "old"), Authority::new(folder.path(), "new"));
        let live = old.sign("live", &["127.0.0.1"]);
        let settings = with_certificate(&live);
        made = Some((old, new, live));
        settings
    })
    .await;
    let (old, new, live) = made.unwrap();
    let (_page, scene) = port.page().await;
    // A client that trusts both, as one does during a change, and whose notices never stop.
    let both = port.folder.path().join("both.pem");
    let pem = |ca: &Authority| fs::read_to_string(&ca.certificate).unwrap();
    fs::write(&both, pem(&old) + &pem(&new)).unwrap();
    let client = port.client("shop", SHOP_KEY, Some(ClientTls { ca: Some(both), ..ClientTls::default() }));
    let flow = Flow::start(&client, scene);
    let query = Notice::Query { scene };
    let ask = async |ca: &Authority| {
        let client = port.client("shop", SHOP_KEY, trust(ca));
        tokio::select! {
            status = status(&client, query.clone()) => Ok(status),
            link = turned_away(&client) => Err(link.to_string()),
        }
    };
    assert_eq!(ask(&old).await, Ok(Status::Ok));
    assert!(ask(&new).await.unwrap_err().contains("UnknownIssuer"));

    put(&new.sign("next", &["127.0.0.1"]), &live);
    port.read_again("the certificate of the internal port was read again").await;
    assert_eq!(ask(&new).await, Ok(Status::Ok));
    assert!(ask(&old).await.unwrap_err().contains("UnknownIssuer"));

    // One whose time is over is shown, and refused by clients; those that are connected stay.
    put(&new.sign_expired("expired", &["127.0.0.1"]), &live);
    port.read_again("the certificate of the internal port was read again").await;
    assert!(ask(&new).await.unwrap_err().contains("expired"));

    // A key that is not the certificate's, and half a file: what was read before stays.
    put(&new.sign("again", &["127.0.0.1"]), &live);
    port.read_again("the certificate of the internal port was read again").await;
    fs::copy(&new.sign("other", &["127.0.0.1"]).key, &live.key).unwrap();
    let log = port.read_again("the certificate stays as it was").await;
    assert!(log.contains("GATEWAY_NOTIFY_TLS_KEY: "), "{log}");
    fs::write(&live.certificate, "-----BEGIN CERTIFICATE-----\nAAAA").unwrap();
    let log = port.read_again("the certificate stays as it was").await;
    assert!(log.contains("GATEWAY_NOTIFY_TLS_CERT: "), "{log}");
    assert_eq!(ask(&new).await, Ok(Status::Ok));

    assert!(client.is_connected());
    assert!(flow.end().await > 0);
    assert_eq!(port.metric("gateway_proofs_total{client=\"shop\",key=\"1\"}").await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_2_and_1_3_and_nothing_older() {
    let port = Port::start_with(&entry("shop", &[SHOP_KEY], &["query"]), |folder, _| {
        with_certificate(&Authority::new(folder.path(), "ours").sign("gateway", &["127.0.0.1"]))
    })
    .await;
    let scan = Command::new("sslscan").args(["--no-colour", &port.address()]).output();
    let scan = scan.expect("sslscan is here; on Debian: apt-get install sslscan");
    let scan = String::from_utf8_lossy(&scan.stdout).into_owned();
    let says = |protocol: &str| {
        let line = scan.lines().find(|line| line.starts_with(protocol)).unwrap_or_else(|| panic!("{scan}"));
        line.split_whitespace().last().unwrap().to_owned()
    };
    for old in ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"] {
        assert_eq!(says(old), "disabled", "{scan}");
    }
    for new in ["TLSv1.2", "TLSv1.3"] {
        assert_eq!(says(new), "enabled", "{scan}");
    }
    assert!(!scan.contains("CBC") && !scan.contains("RC4") && !scan.contains("3DES"), "{scan}");
}
