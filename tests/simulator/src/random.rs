//! Random names and numbers: openids, tokens, code ids, nonces.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `N` random bytes from the operating system's generator.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// `N` random bytes written in `[A-Za-z0-9_-]`.
pub(crate) fn name<const N: usize>() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<N>())
}

/// A decimal number of at most ten digits, as WeChat's nonces are.
pub(crate) fn nonce() -> String {
    u32::from_be_bytes(bytes()).to_string()
}

/// The digits at the end of every error text of the API. WeChat's support asks for them.
pub(crate) fn request_id() -> String {
    let part = || u32::from_be_bytes(bytes());
    format!("{:08x}-{:08x}-{:08x}", part(), part(), part())
}
