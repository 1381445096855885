//! WeChat's signature: it binds a push to the token, in safe mode with its content.
//!
//! This code is independent of the services' own, so that each checks the other.

use sha1::{Digest, Sha1};

/// The lower-case hex SHA-1 of the parts, sorted by their bytes and joined without a separator.
///
/// `[token, timestamp, nonce]` gives `signature`; with the ciphertext as a fourth part it gives
/// `msg_signature`. Equal parts are all kept.
pub(crate) fn sign<const N: usize>(mut parts: [&str; N]) -> String {
    parts.sort_unstable();
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wechats_published_examples() {
        assert_eq!(sign(["AAAAA", "1714036504", "1514711492"]), "f464b24fc39322e44b38aa78f5edd27bd1441696");
        assert_eq!(sign(["AAAAA", "1714037059", "486452656"]), "899cf89e464efb63f54ddac96b0a0a235f53aa78");
    }

    #[test]
    fn order_is_by_bytes_and_equal_parts_stay() {
        let token = "oNZ564BV19OFxhKwyPrOK9VeRE67O1n";
        assert_eq!(sign([token, "1768342047", "99"]), "b7b87740aac7be7f503485685d892d1193bdf014");
        assert_eq!(
            sign(["756xCoQsIEUrgkx", "1770927530", "1770927530"]),
            "3aef6ecc75a5a63ef69ec2aa27fa81731ee3cbe6"
        );
    }
}
