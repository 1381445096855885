//! WeChat's signature: SHA-1 over the token and what is signed, sorted byte by byte and joined without separators.
//!
//! The same rule makes `signature` (token, timestamp, nonce) and `msg_signature` (those and the cipher text).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::HEXLOWER;

/// What is hashed: the sorted parts, joined without separators.
fn joined<const N: usize>(mut parts: [&str; N]) -> String {
    parts.sort_unstable();
    parts.concat()
}

/// Signs the parts, which may be given in any order. Lower-case hex.
pub(super) fn sign<const N: usize>(parts: [&str; N]) -> String {
    HEXLOWER.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, joined(parts).as_bytes()).as_ref())
}

/// Digits in a timestamp. Unix seconds have had ten since 2001, and will for centuries.
const DIGITS: usize = 10;

/// The latest timestamp, in Unix seconds, that can stand with the signature of this timestamp and nonce.
///
/// The signature stays the same when the two are exchanged, or when their digits are divided elsewhere. A nonce with ten
/// digits may therefore be read as a timestamp.
pub(super) fn latest_reading(token: &str, timestamp: &str, nonce: &str) -> Option<u64> {
    let whole = joined([token, timestamp, nonce]);
    let readings = (0..=whole.len().checked_sub(DIGITS)?).filter_map(|start| {
        // A nonce that is not ASCII may be cut inside a character.
        let moment = whole.get(start..start + DIGITS)?;
        let (before, behind) = (&whole[..start], &whole[start + DIGITS..]);
        let rest = if before.is_empty() { behind } else { before };
        let is_between = !before.is_empty() && !behind.is_empty();
        let nonces = match is_between {
            true => [(before == token).then_some(behind), (behind == token).then_some(before)],
            false => [rest.strip_prefix(token), rest.strip_suffix(token)],
        };
        let is_reading = |nonce: &str| !nonce.is_empty() && joined([token, moment, nonce]) == whole;
        let is_number = moment.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && nonces.into_iter().flatten().any(is_reading)).then(|| moment.parse().ok()).flatten()
    });
    readings.max()
}

/// Whether `given` is the signature of the parts. Compares in constant time.
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
    fn a_signature_has_the_latest_moment_that_can_be_read_out_of_it() {
        for token in ["AAAAA", "000", "9tok", "zzz"] {
            for (timestamp, nonce, latest) in [
                ("1714036500", "486452656", 1_714_036_500),
                ("1714036504", "1514711492", 1_714_036_504),
                ("1714036504", "1814711492", 1_814_711_492),
                ("1714036504", "abc", 1_714_036_504),
                ("1714036504", "阿狸", 1_714_036_504),
            ] {
                assert_eq!(
                    latest_reading(token, timestamp, nonce),
                    Some(latest),
                    "{token} {timestamp} {nonce}"
                );
                // However it is read, it is the same signature.
                assert_eq!(
                    latest_reading(token, nonce, timestamp),
                    Some(latest),
                    "{token} {nonce} {timestamp}"
                );
            }
            // A nonce of nine digits and one digit of the timestamp read as another timestamp.
            let (timestamp, nonce) = ("1714036501", "899000000");
            assert_eq!(sign([token, timestamp, nonce]), sign([token, "1899000000", "171403650"]), "{token}");
            assert_eq!(latest_reading(token, timestamp, nonce), Some(1_899_000_000), "{token}");
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
