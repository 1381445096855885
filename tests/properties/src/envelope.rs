//! Whole pushes, query and body, of which WeChat has signed some part or none. The services must never accept a
//! part that is not signed.
//!
//! A fuzzer cannot guess a signature, so the input's first byte says what WeChat has signed:
//!
//! | byte | what follows | WeChat's part |
//! |---|---|---|
//! | `r` | query, line feed, body | none: raw bytes |
//! | `s` | rest of the query, line feed, body | signed query parameters, as an observer of one request has them |
//! | `c` | body with `{sealed}` in it | the whole query, and the cipher text that stands for `{sealed}` |
//! | `e` | place (two bytes), length (one byte), replacement | a whole push in compatible mode, in which that part is replaced |
//! | `f` | the bytes to encrypt | it encrypts and signs these bytes, whatever they are |

use std::sync::LazyLock;

use wechat::push::{Push, Query, Refusal};

use crate::account::{
    COMPATIBLE, NOW, ORIGINAL_ID, PLAINTEXT, SAFE, SIGNED, encrypt, encrypting, frame, open, sealed_body,
    signed_query,
};
use crate::event::word;

/// Reads a push that is partly WeChat's, in every mode that should protect that part.
pub fn envelope(input: &[u8]) -> &'static str {
    match input.split_first() {
        Some((b'r', request)) => raw(request),
        Some((b's', request)) => with_a_signature(request),
        Some((b'c', body)) => composed(body),
        Some((b'e', edit)) => edited(edit),
        Some((b'f', frame)) => encrypted(frame),
        _ => "nothing",
    }
}

fn message(from: &str) -> String {
    format!(
        "<xml><ToUserName>{ORIGINAL_ID}</ToUserName><FromUserName>{from}</FromUserName><CreateTime>{NOW}</CreateTime>\
         <MsgType>event</MsgType><Event>SCAN</Event><EventKey>AAAAAAAAAAAAAAAAAAAAAA</EventKey></xml>"
    )
}

/// A push that WeChat has sent.
struct Genuine {
    query: String,
    encrypt: String,
    push: Push,
}

static GENUINE: LazyLock<Genuine> = LazyLock::new(|| {
    let encrypt = encrypt(&frame(b"0123456789abcdef", message("real").as_bytes()));
    let query = signed_query(&encrypt);
    let push = open(&SAFE, &query, sealed_body(&encrypt).as_bytes()).expect("what WeChat sends is believed");
    assert_eq!(push.from.as_str(), "real");
    Genuine { query, encrypt, push }
});

/// Splits query and body at the line feed. The query must be text, because HTTP accepts nothing else.
fn parts(request: &[u8]) -> Option<(&str, &[u8])> {
    let end = request.iter().position(|&byte| byte == b'\n')?;
    Some((str::from_utf8(&request[..end]).ok()?, &request[end + 1..]))
}

fn raw(request: &[u8]) -> &'static str {
    let Some((query, body)) = parts(request) else { return "nothing" };
    for account in [&*SAFE, &*COMPATIBLE, &*PLAINTEXT] {
        let outcome = open(account, query, body);
        assert!(
            matches!(outcome, Err(Refusal::Query | Refusal::Signature)),
            "{outcome:?} without any signature"
        );
        let echo = Query::parse(query).and_then(|query| account.verify_url(&query, NOW));
        assert!(echo.is_err(), "{echo:?} without any signature");
    }
    word(&open(&SAFE, query, body))
}

/// Plaintext mode is left out: its signature covers no body, and `one_body` of callback-service protects it instead.
fn with_a_signature(request: &[u8]) -> &'static str {
    let Some((query, body)) = parts(request) else { return "nothing" };
    let query = format!("{}&{query}", *SIGNED);
    for account in encrypting() {
        let outcome = open(account, &query, body);
        assert!(outcome.is_err(), "{outcome:?} from a body that nobody signed");
    }
    word(&open(&SAFE, &query, body))
}

fn composed(body: &[u8]) -> &'static str {
    let Ok(body) = str::from_utf8(body) else { return "nothing" };
    only_the_genuine(&GENUINE.query, body.replace("{sealed}", &GENUINE.encrypt).as_bytes())
}

/// A push of compatible mode: a plain copy beside the cipher text, which somebody on the way may change.
fn edited(edit: &[u8]) -> &'static str {
    let [high, low, length, replacement @ ..] = edit else { return "nothing" };
    let clear = message("forged").replace("</xml>", "");
    let mut request =
        format!("{}\n{clear}<Encrypt>{}</Encrypt></xml>", GENUINE.query, GENUINE.encrypt).into_bytes();
    let start = usize::from(u16::from_be_bytes([*high, *low])) % request.len();
    let end = request.len().min(start + usize::from(*length));
    request.splice(start..end, replacement.iter().copied());
    match parts(&request) {
        None => "nothing",
        Some((query, body)) => only_the_genuine(query, body),
    }
}

/// A push is refused, or it is the one that WeChat has sent.
fn only_the_genuine(query: &str, body: &[u8]) -> &'static str {
    for account in encrypting() {
        if let Ok(push) = open(account, query, body) {
            assert_eq!(push, GENUINE.push);
        }
    }
    word(&open(&SAFE, query, body))
}

/// There is only one right form of a frame. For a right frame only the message counts.
fn encrypted(bytes: &[u8]) -> &'static str {
    let sealed = encrypt(bytes);
    let outcome = open(&SAFE, &signed_query(&sealed), sealed_body(&sealed).as_bytes());
    let message = message_of(bytes);
    if let Some(message) = message {
        let again = encrypt(&frame(b"another beginnin", message));
        assert_eq!(outcome, open(&SAFE, &signed_query(&again), sealed_body(&again).as_bytes()));
    }
    let is_refused = matches!(
        outcome,
        Err(Refusal::CipherLength | Refusal::Padding | Refusal::Length | Refusal::AppId | Refusal::Utf8)
    );
    let is_right = message.is_some_and(|message| str::from_utf8(message).is_ok());
    assert_eq!(is_refused, !is_right, "{outcome:?}");
    word(&outcome)
}

/// The message for which WeChat would make this frame; `None` if it never would.
fn message_of(bytes: &[u8]) -> Option<&[u8]> {
    let start = bytes.first_chunk::<16>()?;
    let length: [u8; 4] = bytes.get(16..20)?.try_into().ok()?;
    let message = bytes.get(20..)?.get(..u32::from_be_bytes(length) as usize)?;
    (frame(start, message) == bytes[..bytes.len() - bytes.len() % 16]).then_some(message)
}
