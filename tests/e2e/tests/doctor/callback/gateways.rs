//! Gateways that are not there, or do not believe this service.

use std::fs;

use test_certificates::Authority;

use super::Place;

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_refuses_is_named_with_its_cure() {
    let mut place = Place::new().await;
    let look = |place: &Place| place.doctor(&["--only", "gateway"]);
    look(&place).has("gateway", "error", "refused", "see that ws-gateway runs");
    place.start_gateway();
    look(&place).is_well("gateway");
    place.doctor(&["--only", "delivery"]).is_well("delivery");
    place.set("CALLBACK_PROBE_URL", "http://127.0.0.1:1");
    place.doctor(&["--only", "delivery"]).has(
        "delivery",
        "error",
        "no WebSocket opens",
        "CALLBACK_PROBE_URL must be",
    );
    place.settings.remove("CALLBACK_PROBE_URL");
    place.doctor(&["--only", "delivery"]).has(
        "delivery",
        "warning",
        "not known where",
        "set CALLBACK_PROBE_URL",
    );
    place.set("NOTIFY_KEY", "another-key-another-key-another-key");
    look(&place).has("gateway", "error", "refuses this service", "the same NOTIFY_KEY");
    place.set("CALLBACK_GATEWAY", "no-such-host.invalid:9999");
    look(&place).has("gateway", "error", "no address was found", "/etc/resolv.conf");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_right_and_certificates_that_end_are_told() {
    let mut place = Place::new().await;
    let folder = place.folder.path().to_owned();
    let ca = Authority::new(&folder, "ours");
    let (shown, late) = (ca.sign("gateway", &["127.0.0.1"]), ca.sign_expired("late", &[]));
    let clients = folder.join("clients.toml");
    let key = &place.settings["NOTIFY_KEY"];
    fs::write(
        &clients,
        format!("[[client]]\nname = \"callback\"\nkeys = [\"{key}\"]\nmay = [\"scan\", \"query\"]\n"),
    )
    .unwrap();
    place.gateway.remove("NOTIFY_KEY");
    place.gateway.extend([
        ("GATEWAY_NOTIFY_CLIENTS", clients.display().to_string()),
        ("GATEWAY_NOTIFY_TLS_CERT", shown.certificate.display().to_string()),
        ("GATEWAY_NOTIFY_TLS_KEY", shown.key.display().to_string()),
    ]);
    place.start_gateway();
    place.doctor(&["--only", "gateway"]).has("gateway", "error", "TLS", "CALLBACK_GATEWAY_TLS is true");
    place.set("CALLBACK_GATEWAY_TLS", "true");
    place.doctor(&["--only", "gateway"]).has("gateway", "error", "UnknownIssuer", "CALLBACK_GATEWAY_CA");
    place.set("CALLBACK_GATEWAY_CA", ca.certificate.display().to_string());
    let seen = place.doctor(&["--only", "gateway,certificates"]);
    seen.has("gateway", "error", "it may not: claim, deny", "GATEWAY_NOTIFY_CLIENTS");
    seen.is_well("certificates");
    place.set("CALLBACK_GATEWAY_CERT", late.certificate.display().to_string());
    place.set("CALLBACK_GATEWAY_KEY", late.key.display().to_string());
    let seen = place.doctor(&["--only", "certificates"]);
    seen.has("certificates", "error", "has expired", "renew the file that CALLBACK_GATEWAY_CERT names");
}
