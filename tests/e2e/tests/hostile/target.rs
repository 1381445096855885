//! A page that waits for its scan, and the push of that scan, which a test spoils before it is sent as it should be.

use std::time::{SystemTime, UNIX_EPOCH};

use demo::Stack;
use e2e::page::{Code, Page};
use e2e::raw::{Raw, Reply, metric};
use sha1::{Digest, Sha1};
use simulator::Envelope;

use super::state_of;

/// A page that waits, and the push of a person's scan of it, to be spoilt and in the end sent as it should be.
pub(super) struct Target {
    pub(super) page: Page,
    pub(super) code: Code,
    pub(super) openid: String,
    pub(super) xml: String,
}

impl Target {
    pub(super) async fn of(stack: &Stack) -> Self {
        let mut page = Page::open(stack.gateway.browsers).await;
        let code = page.code().await;
        let openid = stack.wechat.invent_person("", true).openid;
        let xml = format!(
            "<xml><ToUserName>{}</ToUserName><FromUserName>{openid}</FromUserName>\
             <CreateTime>{}</CreateTime><MsgType>event</MsgType><Event>SCAN</Event>\
             <EventKey>{}</EventKey></xml>",
            stack.wechat.settings().original_id,
            now(),
            code.scene()
        );
        Self { page, code, openid, xml }
    }

    pub(super) fn sealed(&self, stack: &Stack) -> Envelope {
        stack.wechat.seal(&self.xml, &self.openid)
    }

    /// The login has come to its end.
    pub(super) async fn ends_well(mut self) {
        self.page.expect("scanned").await;
        self.page.expect("scan_success").await;
    }

    /// Nothing has happened to the login, and now it is completed by `envelope`.
    pub(super) async fn untouched_then_completed_by(self, stack: &Stack, envelope: &Envelope) {
        assert_eq!(state_of(stack, &self.code.scene()).await, "waiting");
        let reply = post(stack, envelope).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        self.ends_well().await;
    }
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// WeChat's signature, for pushes that the simulator would never sign.
pub(super) fn sign(parts: &[&str]) -> String {
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    let hash = Sha1::digest(parts.concat());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn get<'a>(envelope: &'a Envelope, name: &str) -> &'a str {
    let found = envelope.query.iter().find(|(found, _)| *found == name);
    &found.unwrap().1
}

pub(super) fn set(envelope: &mut Envelope, name: &'static str, value: impl Into<String>) {
    envelope.query.retain(|(found, _)| *found != name);
    envelope.query.push((name, value.into()));
}

pub(super) fn without(mut envelope: Envelope, name: &str) -> Envelope {
    envelope.query.retain(|(found, _)| *found != name);
    envelope
}

/// Signs the envelope as it is now, with the account's own token.
pub(super) fn resign(stack: &Stack, mut envelope: Envelope, timestamp: u64) -> Envelope {
    let (token, timestamp) = (&stack.wechat.settings().token, timestamp.to_string());
    let nonce = get(&envelope, "nonce").to_owned();
    set(&mut envelope, "signature", sign(&[token, &timestamp, &nonce]));
    if let Some(encrypt) = encrypted(&envelope) {
        let signature = sign(&[token, &timestamp, &nonce, encrypt]);
        set(&mut envelope, "msg_signature", signature);
    }
    set(&mut envelope, "timestamp", timestamp);
    envelope
}

pub(super) fn encrypted(envelope: &Envelope) -> Option<&str> {
    let (_, rest) = envelope.body.split_once("<Encrypt><![CDATA[")?;
    Some(rest.split_once("]]>")?.0)
}

/// Base64 needs no escapes but these; the rest of a query is digits and letters.
pub(super) fn query_of(envelope: &Envelope) -> String {
    let pairs: Vec<String> = envelope.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

pub(super) fn head(method: &str, query: &str, more: &str) -> String {
    format!("{method} /wechat?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n")
}

pub(super) async fn post(stack: &Stack, envelope: &Envelope) -> Reply {
    let length = format!("Content-Length: {}\r\n", envelope.body.len());
    let head = head("POST", &query_of(envelope), &length);
    Raw::ask(stack.callback.pushes, &head, envelope.body.as_bytes()).await
}

pub(super) async fn refused(stack: &Stack, stage: &str) -> u64 {
    let name = format!("callback_refused_total{{stage=\"{stage}\"}}");
    metric(stack.callback.admin, &name).await
}

/// Sends what must be refused, and checks how: silently, and counted.
pub(super) async fn is_refused(
    stack: &Stack,
    fault: &str,
    envelope: &Envelope,
    (status, stage): (u16, &str),
) {
    let before = refused(stack, stage).await;
    let reply = post(stack, envelope).await;
    assert_eq!(reply.status, status, "{fault}: {reply:?}");
    assert_eq!(reply.body, "", "{fault}");
    assert_eq!(refused(stack, stage).await, before + 1, "{fault} is counted as {stage}");
}
