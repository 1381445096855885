//! WeChat's signature: SHA-1 over the token and what is signed, sorted byte by byte and joined without separators.
//!
//! The same rule makes `signature` (token, timestamp, nonce) and `msg_signature` (those and the cipher text).

use std::fmt::Write as _;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use sha1::{Digest, Sha1};

/// Signs the parts, in whatever order they are given. Lower-case hex.
pub(super) fn sign<const N: usize>(mut parts: [&str; N]) -> String {
    parts.sort_unstable();
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().fold(String::with_capacity(40), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Whether `given` is the signature of the parts, in a time that does not tell how much of it was right.
pub(super) fn is_signed<const N: usize>(given: &str, parts: [&str; N]) -> bool {
    verify_slices_are_equal(sign(parts).as_bytes(), given.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two worked examples of WeChat's message push page.
    #[test]
    fn known_answers_of_the_official_page() {
        for (timestamp, nonce, signature) in [
            ("1714036504", "1514711492", "f464b24fc39322e44b38aa78f5edd27bd1441696"),
            ("1714037059", "486452656", "899cf89e464efb63f54ddac96b0a0a235f53aa78"),
        ] {
            assert_eq!(sign(["AAAAA", timestamp, nonce]), signature);
            assert!(is_signed(signature, [nonce, "AAAAA", timestamp]));
        }
    }

    #[test]
    fn nothing_but_the_exact_text_is_a_signature() {
        let parts = ["AAAAA", "1714036504", "1514711492"];
        let right = sign(parts);
        for wrong in ["", &right[..39], &format!("{right} "), &right.to_uppercase()] {
            assert!(!is_signed(wrong, parts), "{wrong:?}");
        }
    }
}
