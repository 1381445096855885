//! The internal port: certificates, and what listens there.

use std::fs;

use test_certificates::{Authority, Identity};

use super::Place;

fn with_tls(place: &mut Place, identity: &Identity) {
    place.set("GATEWAY_NOTIFY_TLS_CERT", identity.certificate.to_str().unwrap());
    place.set("GATEWAY_NOTIFY_TLS_KEY", identity.key.to_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_looked_at_in_its_file_and_at_the_port() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::new(folder.path(), "ours");
    let own = ca.sign("gateway", &["gateway.internal"]);
    let mut place = Place::new().await;
    with_tls(&mut place, &own);
    place.set("GATEWAY_NOTIFY_TLS_CLIENT_CA", ca.certificate.to_str().unwrap());
    place.start();
    let flags = ["--only", "gateway,certificates"];
    let seen = place.doctor(&flags);
    seen.is_well("gateway");
    seen.is_well("certificates");
    let named =
        |it: &&serde_json::Value| it["detail"].as_str().is_some_and(|it| it.starts_with("gateway.internal;"));
    assert!(seen.checks("certificates").iter().any(named), "{:#}", seen.json);

    // The files are replaced, and nobody tells the gateway.
    let other = ca.sign("other", &["gateway.internal"]);
    for (from, to) in [(&other.certificate, &own.certificate), (&other.key, &own.key)] {
        fs::copy(from, to).unwrap();
    }
    place.doctor(&flags).has("gateway", "warning", "it shows another one", "SIGHUP");

    for (identity, error, hint) in [
        (ca.sign_expired("late", &["gateway.internal"]), "expired", "deploy/certificates.sh"),
        (ca.sign("nameless", &[]), "none as subjectAltName", "deploy/certificates.sh"),
    ] {
        with_tls(&mut place, &identity);
        place.doctor(&flags).has("certificates", "error", error, hint);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_listens_there_and_is_no_gateway_is_told() {
    let mut place = Place::running().await;
    let folder = tempfile::tempdir().unwrap();
    let own = Authority::new(folder.path(), "ours").sign("gateway", &["gateway.internal"]);
    with_tls(&mut place, &own);
    let seen = place.doctor(&["--only", "gateway"]);
    seen.has("gateway", "error", "does not speak TLS", "restart the gateway");

    let mut place = Place::running().await;
    let web = place.settings["GATEWAY_LISTEN"].clone();
    place.set("GATEWAY_NOTIFY_LISTEN", web);
    place.doctor(&["--only", "gateway"]).has("gateway", "error", "says nothing", "ss -ltnp");
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_beyond_loopback_is_told_where_it_is_allowed() {
    let mut place = Place::new().await;
    let port = place.settings["GATEWAY_NOTIFY_LISTEN"].replace("127.0.0.1", "0.0.0.0");
    place.set("GATEWAY_NOTIFY_LISTEN", port);
    place.set("GATEWAY_NOTIFY_ALLOW_PLAINTEXT", "true");
    let seen = place.doctor(&["--only", "gateway"]);
    seen.has("gateway", "warning", "beyond loopback and has no TLS", "GATEWAY_NOTIFY_TLS_CERT");
}
