//! WeChat's encryption of messages: AES-256-CBC around a frame of its own.
//!
//! WeChat's page "Message encryption and decryption" describes it. A frame is 16 random bytes, the message's length as
//! a big-endian u32, the message, and the appid. It is padded to a multiple of 32 bytes, although AES's block has 16.
//! Nothing in it is authenticated, so `msg_signature` must be checked before a frame is opened.

use aws_lc_rs::cipher::{
    AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use secrecy::{ExposeSecret, SecretBox, SecretString};

use super::Refusal;

/// Padding fills a frame up to a multiple of this many bytes.
const PAD_BLOCK: usize = 32;

/// Random bytes at the beginning of a frame.
pub(super) const RANDOM: usize = 16;

/// Where the message begins in a frame: after the random bytes and the length.
const HEAD: usize = RANDOM + 4;

/// Bytes of an AES block, and of the IV.
const BLOCK: usize = 16;

/// Decodes keys. 43 characters carry 258 bits and a key has 256. WeChat draws all characters at random, so the last two
/// bits are seldom zero, and a strict decoder would refuse the key. Cipher text is decoded strictly.
const KEY_ENGINE: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));

/// The key that an EncodingAESKey stands for. `Debug` does not show it.
#[derive(Debug)]
pub(super) struct AesKey {
    encrypting: EncryptingKey,
    decrypting: DecryptingKey,
    /// The first bytes of the key. WeChat's format says so, although an IV should not be reused.
    iv: SecretBox<[u8; BLOCK]>,
}

impl AesKey {
    /// Decodes an EncodingAESKey; `None` unless it is 43 characters of base64.
    pub(super) fn decode(encoded: &SecretString) -> Option<Self> {
        let bytes = SecretBox::new(Box::new(KEY_ENGINE.decode(encoded.expose_secret()).ok()?));
        let key = || UnboundCipherKey::new(&AES_256, bytes.expose_secret());
        Some(Self {
            encrypting: EncryptingKey::cbc(key().ok()?).ok()?,
            decrypting: DecryptingKey::cbc(key().ok()?).ok()?,
            iv: SecretBox::new(Box::new(*bytes.expose_secret().first_chunk()?)),
        })
    }

    fn iv(&self) -> FixedLength<BLOCK> {
        FixedLength::from(self.iv.expose_secret())
    }

    /// Decrypts the text of an `Encrypt` element and takes the message out of its frame.
    pub(super) fn open(&self, sealed: &str, app_id: &str) -> Result<String, Refusal> {
        let mut bytes = STANDARD.decode(sealed).map_err(|_| Refusal::Base64)?;
        if bytes.is_empty() || !bytes.len().is_multiple_of(PAD_BLOCK) {
            return Err(Refusal::CipherLength);
        }
        let decrypted = self.decrypting.decrypt(&mut bytes, DecryptionContext::Iv128(self.iv()));
        let frame = unpad(decrypted.map_err(|Unspecified| Refusal::CipherLength)?)?;
        let (head, rest) = frame.split_at_checked(HEAD).ok_or(Refusal::Length)?;
        let [.., a, b, c, d] = *head else {
            return Err(Refusal::Length);
        };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| Refusal::Length)?;
        let (message, recipient) = rest.split_at_checked(length).ok_or(Refusal::Length)?;
        if recipient != app_id.as_bytes() {
            return Err(Refusal::AppId);
        }
        String::from_utf8(message.to_vec()).map_err(|_| Refusal::Utf8)
    }

    /// Puts a message into a frame and encrypts it, as base64.
    ///
    /// # Panics
    /// Never: encryption only fails for a part of a block, and a frame is padded to whole blocks.
    pub(super) fn seal(&self, message: &str, app_id: &str, random: [u8; RANDOM]) -> String {
        // A reply is cut to a few KiB before it gets here.
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let mut bytes = [&random[..], &length.to_be_bytes(), message.as_bytes(), app_id.as_bytes()].concat();
        let pad = PAD_BLOCK - bytes.len() % PAD_BLOCK;
        bytes.resize(bytes.len() + pad, u8::try_from(pad).unwrap_or_default());
        self.encrypting
            .less_safe_encrypt(&mut bytes, EncryptionContext::Iv128(self.iv()))
            .expect("a frame is padded to whole blocks");
        STANDARD.encode(bytes)
    }
}

/// Cuts the padding off: 1 to 32 bytes, each of which is their number.
fn unpad(frame: &[u8]) -> Result<&[u8], Refusal> {
    let pad = usize::from(*frame.last().ok_or(Refusal::Padding)?);
    if !(1..=PAD_BLOCK).contains(&pad) {
        return Err(Refusal::Padding);
    }
    let end = frame.len().checked_sub(pad).ok_or(Refusal::Padding)?;
    let (frame, padding) = frame.split_at(end);
    if padding.iter().any(|&byte| usize::from(byte) != pad) {
        return Err(Refusal::Padding);
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// The key that WeChat's own page uses as a sample; its last character has bits beyond the key.
    const SAMPLE: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

    fn key() -> AesKey {
        AesKey::decode(&SAMPLE.into()).unwrap()
    }

    #[test]
    fn a_key_is_43_characters_of_base64_with_any_last_bits() {
        assert_eq!(key().iv.expose_secret()[..3], [0x69, 0xb7, 0x1d]);
        for wrong in
            ["", &SAMPLE[..42], &format!("{SAMPLE}="), &format!("{SAMPLE}A"), &SAMPLE.replace('a', "*")]
        {
            assert!(AesKey::decode(&wrong.into()).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn debug_hides_the_key() {
        let shown = format!("{:?}", key());
        assert!(shown.contains("REDACTED") && !shown.contains("105"), "{shown}");
    }

    #[test]
    fn every_length_comes_back_through_every_padding() {
        for length in 0..=64 {
            let message = "字".repeat(length) + &"x".repeat(length % 3);
            let sealed = key().seal(&message, "wx1", [7; RANDOM]);
            assert_eq!(key().open(&sealed, "wx1").unwrap(), message);
        }
    }

    #[test]
    fn another_appid_is_refused_however_near() {
        let sealed = key().seal("<xml/>", "wx12", [7; RANDOM]);
        for other in ["wx1", "wx123", "WX12", ""] {
            assert_eq!(key().open(&sealed, other), Err(Refusal::AppId), "{other:?}");
        }
    }

    #[test]
    fn padding_is_checked_to_its_last_byte() {
        assert_eq!(unpad(&[9, 2, 2]), Ok(&[9][..]));
        for wrong in [&[][..], &[0], &[33; 40], &[2], &[9, 1, 2]] {
            assert_eq!(unpad(wrong), Err(Refusal::Padding), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_message_comes_back_and_for_its_own_account_only(
            message in ".{0,200}",
            app_id in "[a-z0-9]{0,40}",
            other in "[a-z0-9]{0,40}",
            random in any::<[u8; RANDOM]>(),
        ) {
            let sealed = key().seal(&message, &app_id, random);
            prop_assert_eq!(key().open(&sealed, &app_id), Ok(message));
            prop_assume!(other != app_id);
            prop_assert_eq!(key().open(&sealed, &other), Err(Refusal::AppId));
        }
    }
}
