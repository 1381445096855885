//! An official account in each mode, and WeChat's side of it, which signs and encrypts genuine pushes.
//!
//! This code is independent of the code under test. It is always the same: the clock stands still and nothing
//! is random, so that a find can be repeated. Only this module knows the token, so a request that it did not
//! sign is forged.

use std::sync::LazyLock;
use std::time::Duration;

use aes::Aes256;
use aes::cipher::{Array, BlockModeEncrypt, KeyIvInit, array::sizes::U16};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use wechat::push::{Endpoint, Mode, Push, Query, Refusal, Settings};

const TOKEN: &str = "propertiesToken";
const APP_ID: &str = "wx0123456789abcdef";
/// 32 bytes. WeChat also takes the first 16 as the IV.
const KEY: &[u8; 32] = b"the key of the property account.";

/// The account that pushes are addressed to.
pub(crate) const ORIGINAL_ID: &str = "gh_0123456789ab";

/// The time of everything, in Unix seconds.
pub(crate) const NOW: u64 = 1_770_000_000;
const NONCE: &str = "1234567890";

fn account(mode: Mode) -> Endpoint {
    // WeChat writes keys as 43 characters, without the padding.
    let key = STANDARD.encode(KEY).trim_end_matches('=').to_owned();
    Endpoint::new(Settings {
        mode,
        app_id: APP_ID.to_owned(),
        component_app_id: None,
        token: TOKEN.into(),
        previous_token: None,
        aes_key: Some(key.into()),
        previous_aes_key: None,
        original_id: Some(ORIGINAL_ID.to_owned()),
        max_age: Some(Duration::from_secs(300)),
    })
    .expect("the settings are right")
}

pub(crate) static SAFE: LazyLock<Endpoint> = LazyLock::new(|| account(Mode::Safe));
pub(crate) static COMPATIBLE: LazyLock<Endpoint> = LazyLock::new(|| account(Mode::Compatible));
pub(crate) static PLAINTEXT: LazyLock<Endpoint> = LazyLock::new(|| account(Mode::Plaintext));

/// The two accounts that accept only encrypted pushes.
pub(crate) fn encrypting() -> [&'static Endpoint; 2] {
    [&*SAFE, &*COMPATIBLE]
}

/// Lower-case hex of SHA-1 over the token and the parts, sorted by their bytes and joined.
fn sign(parts: &[&str]) -> String {
    let mut parts = [&[TOKEN], parts].concat();
    parts.sort_unstable();
    Sha1::digest(parts.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The parameters that sign a request. In plaintext mode they are the whole query.
pub(crate) static SIGNED: LazyLock<String> = LazyLock::new(|| {
    let timestamp = NOW.to_string();
    format!("signature={}&timestamp={timestamp}&nonce={NONCE}", sign(&[&timestamp, NONCE]))
});

/// The query of a push whose cipher text is `encrypt`.
pub(crate) fn signed_query(encrypt: &str) -> String {
    let signature = sign(&[&NOW.to_string(), NONCE, encrypt]);
    format!("{}&encrypt_type=aes&msg_signature={signature}", *SIGNED)
}

/// The bytes to encrypt: 16 bytes, the message's length, the message, the appid, and padding to a multiple of
/// 32.
pub(crate) fn frame(start: &[u8; 16], message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a message is short").to_be_bytes();
    let mut frame = [&start[..], &length, message, APP_ID.as_bytes()].concat();
    let pad = 32 - frame.len() % 32;
    frame.resize(frame.len() + pad, pad as u8);
    frame
}

/// Encrypts the whole blocks of `frame`, as the text of an `Encrypt` element.
pub(crate) fn encrypt(frame: &[u8]) -> String {
    let mut bytes = frame[..frame.len() - frame.len() % 16].to_vec();
    let iv: Array<u8, U16> = Array::from_fn(|at| KEY[at]);
    let (blocks, _) = Array::<u8, U16>::slice_as_chunks_mut(&mut bytes);
    cbc::Encryptor::<Aes256>::new(KEY.into(), &iv).encrypt_blocks(blocks);
    STANDARD.encode(bytes)
}

/// The body around a cipher text, as safe mode has it.
pub(crate) fn sealed_body(encrypt: &str) -> String {
    format!("<xml><ToUserName>{ORIGINAL_ID}</ToUserName><Encrypt>{encrypt}</Encrypt></xml>")
}

/// Opens a push with an account.
pub(crate) fn open(account: &Endpoint, query: &str, body: &[u8]) -> Result<Push, Refusal> {
    account.open(&Query::parse(query)?, body, NOW)
}
