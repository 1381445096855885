//! The clients with a real gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use demo::{Options, Stack};
use e2e::page::Page;
use protocol::tls::Identity;
use serde_json::{Value, json};
use test_clients::samples::{Question, Run, Sample};

use super::certificates::Certificates;
use super::{answered, each, failed, question};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_logs_a_page_in() {
    let stack = Arc::new(Stack::start(Options::default()).await.unwrap());
    let (notices, browsers) = (stack.gateway.notices, stack.gateway.browsers);
    each(|sample| logs_in(sample, notices, Vec::new(), browsers)).await;
    drop(stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_certificate_logs_a_page_in_over_tls() {
    let certificates = Certificates::new();
    let Identity { certificate, key } = &certificates.gateway.identity;
    let own = certificates.ours.sign("client", &[]);
    let flag = |name: &str, path: &PathBuf| format!("--gateway-notify-tls-{name}={}", path.display());
    let ca = &certificates.ours.certificate;
    let gateway = vec![flag("cert", certificate), flag("key", key), flag("client-ca", ca)];
    let callback = vec![
        "--callback-gateway-tls=true".to_owned(),
        format!("--callback-gateway-ca={}", ca.display()),
        format!("--callback-gateway-cert={}", own.certificate.display()),
        format!("--callback-gateway-key={}", own.key.display()),
    ];
    let stack = Arc::new(Stack::start(Options { gateway, callback, ..Options::default() }).await.unwrap());
    let (notices, browsers) = (stack.gateway.notices, stack.gateway.browsers);
    let files = vec![ca.clone(), own.certificate, own.key];
    each(|sample| logs_in(sample, notices, files.clone(), browsers)).await;
    drop(stack);
}

/// A login on a page by a client's notices, and the other answers that a client may get. `files` are those for
/// TLS.
async fn logs_in(
    sample: &'static Sample,
    notices: SocketAddr,
    files: Vec<PathBuf>,
    browsers: SocketAddr,
) -> Result<(), String> {
    let files: Vec<_> = files.iter().map(PathBuf::as_path).collect();
    let ask = async |notice: &Value| -> Run {
        let notice = notice.to_string();
        sample.ask(&Question { notice, files: files.clone(), ..question(&notices) }).await
    };
    let mut page = Page::open(browsers).await;
    let scene = page.code().await.scene();
    answered(&ask(&json!({"type": "ping", "id": "扫1"})).await, &json!({"type": "pong", "id": "扫1"}))?;

    let query = json!({"type": "query", "id": "1", "scene": scene});
    let waiting = json!({"type": "answer", "id": "1", "status": "ok", "state": "waiting"});
    answered(&ask(&query).await, &waiting)?;

    let claim = json!({"type": "claim", "id": "2", "scene": scene, "by": "oAlice", "number": "42"});
    let run = ask(&claim).await;
    let claimed: Value = serde_json::from_str(&run.stdout).map_err(|_| format!("no answer: {run:?}"))?;
    assert_eq!((&claimed["status"], &claimed["context"]["number"]), (&json!("delivered"), &json!("42")));
    answered(&run, &claimed)?;
    assert_eq!(page.expect("scanned").await["number"], "42");

    let nickname = "阿狸 🦊 \"é\" \\ </script>";
    let scan = json!({"type": "scan", "id": "3", "scene": scene, "by": "oAlice", "nickname": nickname});
    let granted = json!({"type": "answer", "id": "3", "status": "delivered", "state": "granted"});
    answered(&ask(&scan).await, &granted)?;
    assert_eq!(page.expect("scan_success").await["user"], nickname);
    let repeat =
        json!({"type": "answer", "id": "3", "status": "delivered", "state": "granted", "repeat": true});
    answered(&ask(&scan).await, &repeat)?;

    let scan = json!({"type": "scan", "id": "4", "scene": scene, "by": "oBob"});
    let taken = json!({"type": "answer", "id": "4", "status": "taken", "state": "granted"});
    answered(&ask(&scan).await, &taken)?;
    let unknown = json!({"type": "scan", "id": "5", "scene": "A".repeat(22)});
    answered(&ask(&unknown).await, &json!({"type": "answer", "id": "5", "status": "unknown"}))?;
    let run = ask(&json!({"type": "shout", "id": "6"})).await;
    let bad: Value = serde_json::from_str(&run.stdout).map_err(|_| format!("no answer: {run:?}"))?;
    assert_eq!((&bad["status"], &bad["id"]), (&json!("bad"), &json!("6")));
    answered(&run, &bad)?;

    for (client, key) in
        [("callback", "not the key, but long enough to be one"), ("nobody", question(&notices).key)]
    {
        let run = sample.ask(&Question { client, key, files: files.clone(), ..question(&notices) }).await;
        failed(&run, "unauthorized")?;
    }
    Ok(())
}
