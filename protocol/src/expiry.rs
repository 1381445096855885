//! When certificates expire, for whoever has to replace them in time: `notAfter` of RFC 5280, section 4.1.2.5.
//!
//! Only the way to that field is read. Whether a certificate is good otherwise is [`tls`](crate::tls)'s to say.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The tags of DER that stand on the way to the field.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When the first of the certificates in a PEM file expires, in seconds since 1970. `None`: the file cannot be read, or has
/// no certificate that can.
#[must_use]
pub fn of_file(path: &Path) -> Option<i64> {
    CertificateDer::pem_file_iter(path).ok()?.filter_map(|found| of_certificate(&found.ok()?)).min()
}

/// When a certificate in DER form expires, in seconds since 1970; `None` when it is none.
#[must_use]
pub fn of_certificate(der: &[u8]) -> Option<i64> {
    let (certificate, _) = value(der, SEQUENCE)?;
    let (mut fields, _) = value(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        fields = skip(fields)?;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        fields = skip(fields)?;
    }
    let (validity, _) = value(fields, SEQUENCE)?;
    time(skip(validity)?)
}

/// The content of the value at the beginning, and what follows it.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    let (length, rest) = match first {
        ..=0x7f => (usize::from(first), rest),
        // At most four bytes of length, which is 4 GiB.
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn value(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    any(der).filter(|(tag, ..)| *tag == wanted).map(|(_, content, rest)| (content, rest))
}

fn skip(der: &[u8]) -> Option<&[u8]> {
    any(der).map(|(.., rest)| rest)
}

/// A time as RFC 5280 wants it: in UTC, with seconds.
fn time(der: &[u8]) -> Option<i64> {
    let (tag, text, _) = any(der)?;
    let digits = str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        // Two digits are of 1950 to 2049.
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(2 * at..2 * at + 2)?.parse::<i64>().ok();
    let (month, day, hour, minute, second) = (part(0)?, part(1)?, part(2)?, part(3)?, part(4)?);
    if rest.len() != 10 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970 to a date of the Gregorian calendar. Years begin in March here, so that the leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use test_certificates::Authority;

    use super::*;

    #[test]
    fn the_first_to_expire_counts_and_what_is_no_certificate_never_expires() {
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::new(folder.path(), "ours");
        let (good, late) = (ca.sign("good", &["a"]), ca.sign_expired("late", &["a"]));
        // 2199-01-01 is written with four digits of the year, 2020-01-01 with two.
        assert_eq!(of_file(&good.certificate), Some(7_226_582_400));
        assert_eq!(of_file(&late.certificate), Some(1_577_836_800));
        let both = folder.path().join("both.pem");
        let text = [&good, &late].map(|made| std::fs::read_to_string(&made.certificate).unwrap());
        std::fs::write(&both, text.concat()).unwrap();
        assert_eq!(of_file(&both), Some(1_577_836_800));
        assert_eq!(of_file(&good.key), None);
        assert_eq!(of_file(Path::new("/nowhere")), None);
    }

    #[test]
    fn a_cut_or_changed_certificate_is_read_without_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let made = Authority::new(folder.path(), "ours").sign("good", &["a"]);
        let der = CertificateDer::from_pem_file(&made.certificate).unwrap();
        for length in 0..der.len() {
            assert_eq!(of_certificate(&der[..length]), None, "{length}");
        }
        let mut changed = der.to_vec();
        for at in 0..der.len().min(200) {
            for byte in [0, 0x7f, 0x80, 0xff] {
                changed[at] = byte;
                let _ = of_certificate(&changed);
            }
            changed[at] = der[at];
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (date, counted) in [
            ((1970, 1, 1), 0),
            ((1969, 12, 31), -1),
            ((2000, 2, 29), 11_016),
            ((2000, 3, 1), 11_017),
            ((2026, 11, 29), 20_786),
            ((2100, 3, 1), 47_541),
        ] {
            assert_eq!(days(date.0, date.1, date.2), counted, "{date:?}");
        }
    }
}
