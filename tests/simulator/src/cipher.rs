//! The cipher of safe and compatible mode: AES-256-CBC under the EncodingAESKey.
//!
//! The chaining is written out here over the bare block cipher, and the frame and padding are checked to the
//! last byte, because the services' own cipher is tested against this one.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD};

use crate::random;

/// The block size of AES, in bytes.
const BLOCK: usize = 16;

/// The padding is PKCS#7 with blocks of 32 bytes, twice the block size of AES.
const PAD: usize = 32;

/// Bytes before the message in a frame: 16 random bytes and the length.
const HEAD: usize = 20;

/// WeChat chooses the key's characters from letters and digits. The last character has two unused bits, which
/// WeChat ignores. A strict decoder would refuse most keys because of them.
const KEY_ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// An EncodingAESKey, decoded.
pub(crate) struct Key([u8; 32]);

/// Why a ciphertext was refused. The order is the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CipherError {
    #[error("Encrypt is not base64")]
    Base64,
    #[error("the ciphertext's length is not a multiple of 32 bytes")]
    Length,
    #[error("the padding is not PKCS#7 with blocks of 32 bytes; is it the same EncodingAESKey?")]
    Padding,
    #[error("the length inside the frame does not fit the frame")]
    Frame,
    #[error("the frame ends in another appid")]
    AppId,
    #[error("the message is not UTF-8")]
    Utf8,
}

impl Key {
    /// Decodes the 43 characters of the message push settings; `None` if they are not a key.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = KEY_ENGINE.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// Encrypts a message of the account `app_id`, with fresh random bytes in front.
    pub(crate) fn encrypt(&self, message: &str, app_id: &str) -> String {
        self.seal(random::bytes(), message, app_id)
    }

    fn seal(&self, random: [u8; 16], message: &str, app_id: &str) -> String {
        let length = u32::try_from(message.len()).expect("a message is shorter than 4 GiB");
        let mut frame = Vec::with_capacity(HEAD + message.len() + app_id.len() + PAD);
        frame.extend_from_slice(&random);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(message.as_bytes());
        frame.extend_from_slice(app_id.as_bytes());
        let pad = PAD - frame.len() % PAD;
        frame.resize(frame.len() + pad, pad as u8);

        let (aes, mut chain) = self.start();
        for block in frame.chunks_exact_mut(BLOCK) {
            for (byte, chained) in block.iter_mut().zip(chain) {
                *byte ^= chained;
            }
            let mut sealed = Array::try_from(&*block).expect("chunks of one block");
            aes.encrypt_block(&mut sealed);
            block.copy_from_slice(&sealed);
            chain = sealed.into();
        }
        STANDARD.encode(frame)
    }

    /// Decrypts the text of an `Encrypt` element, which must be for the account `app_id`.
    pub(crate) fn decrypt(&self, text: &str, app_id: &str) -> Result<String, CipherError> {
        let mut frame = STANDARD.decode(text).map_err(|_| CipherError::Base64)?;
        if frame.is_empty() || !frame.len().is_multiple_of(PAD) {
            return Err(CipherError::Length);
        }
        let (aes, mut chain) = self.start();
        for block in frame.chunks_exact_mut(BLOCK) {
            let sealed = Array::try_from(&*block).expect("chunks of one block");
            let mut open = sealed;
            aes.decrypt_block(&mut open);
            for ((byte, opened), chained) in block.iter_mut().zip(open).zip(chain) {
                *byte = opened ^ chained;
            }
            chain = sealed.into();
        }
        let message = unframe(unpad(&frame)?, app_id)?;
        String::from_utf8(message.to_vec()).map_err(|_| CipherError::Utf8)
    }

    /// The block cipher and the first chaining block, which WeChat takes from the key.
    fn start(&self) -> (Aes256, [u8; BLOCK]) {
        let mut first = [0; BLOCK];
        first.copy_from_slice(&self.0[..BLOCK]);
        (Aes256::new(&self.0.into()), first)
    }
}

fn unpad(frame: &[u8]) -> Result<&[u8], CipherError> {
    let pad = *frame.last().ok_or(CipherError::Length)?;
    let count = usize::from(pad);
    if !(1..=PAD).contains(&count) || count > frame.len() {
        return Err(CipherError::Padding);
    }
    let (rest, padding) = frame.split_at(frame.len() - count);
    if padding.iter().all(|&byte| byte == pad) { Ok(rest) } else { Err(CipherError::Padding) }
}

fn unframe<'a>(frame: &'a [u8], app_id: &str) -> Result<&'a [u8], CipherError> {
    let rest = frame.get(HEAD..).ok_or(CipherError::Frame)?;
    let length = u32::from_be_bytes([frame[16], frame[17], frame[18], frame[19]]) as usize;
    let (message, of) = rest.split_at_checked(length).ok_or(CipherError::Frame)?;
    if of == app_id.as_bytes() { Ok(message) } else { Err(CipherError::AppId) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Vectors of an independent implementation with fixed random bytes: key, appid, random bytes, message,
    /// ciphertext.
    const VECTORS: [(&str, &str, [u8; 16], &str, &str); 6] = [
        // one pad byte
        (
            "KQ5bYFg4NUi9kRUrDE48wr1SnKIkEa6Bts9Mp82yTMQ",
            "wxcc1ea690c7b0ad20",
            [0x70, 0x31, 0x33, 0x6a, 0x30, 0x61, 0x65, 0x4e, 0x70, 0x6d, 0x65, 0x45, 0x30, 0x36, 0x48, 0x68],
            "<xml><ToUserName><![CDATA[gh_5e53cd928378]]></ToUserName><FromUserName><![CDATA[o9PJdoEsCLEG-eCMbo0IkN6RVwJ0]]></FromUserName><CreateTime>1767974161</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[pppppppppppppppp]]></Content><MsgId>24000000000000001</MsgId></xml>",
            "z9WtxgWzGX7SNewve1if5B8tuDbuiCY4ONiJ/NqmWOBmwc1k2283or9ijEfZZ/3OF/i54r2OtfuIDNZ3L5FIczjS/4RP29v7JVqbsNJSMsIVhzJumhBAmSPBsQ5vcJx4b684sud+RG/AI8srW1Jhn+zDEfYmmcGkgjIq8Vg9Wu0b84MLZAU288gi8MVBrPzk5Ih6p3amcnRiMIUylUgoX7WReMSFrlZmkhCmxHgh8lp1V1DrwT7LiIiGHTEYjMTg4J7AC0e0qf/8YLiH6QZCoIK92h3B8RiDy3M+KdBT6IwUZIeHfNhQW1XZIS/XSFL8h5q3gPJDWpkq0/LOXq1OoleJ6ZOwb0+v+JzuPK05CrKwH807ufnXuhLpCFUrvEBCFyqtg3CUcIHBkvUjCJ4BtmvFH+hpW/e0OiaWcP9aX3I=",
        ),
        // framed length already a multiple of 32
        (
            "KQ5bYFg4NUi9kRUrDE48wr1SnKIkEa6Bts9Mp82yTMQ",
            "wxcc1ea690c7b0ad20",
            [0x67, 0x61, 0x69, 0x6b, 0x36, 0x57, 0x6a, 0x32, 0x62, 0x36, 0x67, 0x5a, 0x58, 0x6c, 0x35, 0x59],
            "<xml><ToUserName><![CDATA[gh_5e53cd928378]]></ToUserName><FromUserName><![CDATA[o9PJdoEsCLEG-eCMbo0IkN6RVwJ0]]></FromUserName><CreateTime>1767974161</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[ppppppppppppppppp]]></Content><MsgId>24000000000000001</MsgId></xml>",
            "qx4xg7MVO1tdbFox8LFPXNQemkg4WD1W0BwZRS4qKHBHVuYmtdR5fEyAh0yM23LYntujeg15OtN+aiXU1BToMLe03ouYgjhI6sMhXuCAN0+6Ic/q8ZGXFavSsZxTMZ2zx045WOA8aXKfZRO6uL4W0JuD1xWBb/Nif++kyV7JC5Jm8AVfK7CZHqThdUFVi0xjruqQYF2XoUOtJLB5MH1TD5RCZH4mjzNAhb5uBInALiP6l5/nl8YCqaq4UxV5rpLhS0acdJnd+kjG21dGcCZILlqbPovZoBf8M9F2tOoQrCzMoYAwimwMFfzMINST2kEU2yekN5Sd8TFjYivEgOK7O2ORNBYuzml3rGEFzxFvJL//aYbR2uDTyVXFC3cThpZIwh8f2oI7olbZR4EufayVSpojDnINt708R2VsxPz80I/rfifYLf53RysUcJ4gf0DNybiYVbMMJGGZnYLjh/zS+Q==",
        ),
        // pad above 16
        (
            "LNI5FNkUtoLdrKI0WPiOLOy6invc41A9huSmO4x49Ni",
            "wx955d6047789b132f",
            [0x34, 0x73, 0x76, 0x76, 0x4d, 0x4d, 0x6c, 0x78, 0x53, 0x6b, 0x38, 0x53, 0x6f, 0x78, 0x68, 0x4f],
            "<xml><ToUserName><![CDATA[gh_42a88bf47a53]]></ToUserName><FromUserName><![CDATA[o9PJdoEsCLEG-eCMbo0IkN6RVwJ0]]></FromUserName><CreateTime>1767974161</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[pppppppppppppppppppppppppppppppp]]></Content><MsgId>24000000000000001</MsgId></xml>",
            "61/w7g/isnLs+4oeO+CpeGA1DeVd+9ZwGecBwX233K5ORTCkkwjLRn3Ww+B4v3YKOlLnu1Z2le8Ineb+m+tJCWxlwdLAJmLZ9b20zMKhwMhLbIxy/zrvkRCLBGGpRSNZYjP8namrt8GniSsibA65bTN6G7i/2o2Tqe7UpgHIrXCSxUaxnJB1N5LN9SOhzLUY/Axd/A5pp+7Wikr6g5DDFx4nkF7LZTg7Qufdrltw4SVJlbrhJtb9TOrUhDI9DjowSvZEsvT6kJSNwF4ylBwq/Xv2lUXvPqZ47IBt0yoerlOBz2lZFZ8DpUcJic2XU/QREIQtNiGJuGzfyHVJzoRMES95vzSailur7LNj3BofnGeir+4XkA5hl/9cAoi4a6NofTdsgutXFVPiiP8tq1q445gxpOmyyF38s2cjlUBhjvGNARvotSQC71rRl12fqOJcBSeoQj40LhDjiPWUiXSrBA==",
        ),
        // EncodingAESKey whose last character has non-zero trailing bits
        (
            "LNI5FNkUtoLdrKI0WPiOLOy6invc41A9huSmO4x49Ni",
            "wx955d6047789b132f",
            [0x54, 0x43, 0x52, 0x70, 0x6b, 0x6a, 0x38, 0x4a, 0x34, 0x4d, 0x6a, 0x56, 0x66, 0x39, 0x6e, 0x47],
            "<xml><ToUserName><![CDATA[gh_42a88bf47a53]]></ToUserName><FromUserName><![CDATA[o9PJdoEsCLEG-eCMbo0IkN6RVwJ0]]></FromUserName><CreateTime>1767974157</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[SCAN]]></Event><EventKey><![CDATA[Wg9v1BwAvbIUs5zH1O6lDSSr-b_ZpgH4]]></EventKey><Ticket><![CDATA[gQGNwzwAAAAAAAAAAS1odHRwOi8vd2VpeGluLnFxLmNvbS9xLzAyMHpKYmRTVUR5TUNOZ3dBMW9HSlQAAgTpJGFpAwRaAAAA]]></Ticket></xml>",
            "9LXorLXdLpvqXxv//lN9jqNKIy+1Yx9g+vOUwjdLVnrFciElwccFnwuHxxqEUtRfrNv4OJr7mtgw7M3DdU+DfMDAFtxyCLwwql68JNFqGwVqknf+fpJhWVlYtPEpDHQ3+K859qNXjMCAhuCninV8c6ORYwmNQlWGPPTEEpLPmROIgPmwCz0nwgy/mDhDg1fXQ8VCf70iAX3IMO+QbRk+ts5i1ZtPv2552QPPN0sEPakG4hFVksbrAaZWLt//5w7il0CBgeHhWeKwJcQl23MynCyqLC5iN1cDxaGnY3aLl+fKkQipURo4fa/nq5bOYLVAwzq0ORoycNfK2y03WEq4tPKiRkTNHLrnTTvRZZSqN65Zo3Sd8/hIxna2ro6fDnoEX1vQCiye40nJUtPBsyovfvghmyKnU9nhJ5teZsJQGJhdfkbP6Cs8nKpjuQSv+tdHOiXhZG1HFyBwHcrSv8RIVFu0nJpHD7gIaflI9raffQb/BT17oQFgQz+oqQyffaF4OVhd9S4pwoY20YpwsriNIXE/m5FmtxyLY6erYFknVZ6Z46cKhXB1umIhv8VsIeBJrM+GALaC4r4vLS+OHc7Yv+g4Pm04sA5WUmwe5gCTrab/9xResCdabiZWYK+x+dUs",
        ),
        // random prefix is arbitrary bytes, not text
        (
            "LNI5FNkUtoLdrKI0WPiOLOy6invc41A9huSmO4x49Ni",
            "wx955d6047789b132f",
            [0x00, 0xff, 0x80, 0x0a, 0x50, 0xe5, 0x26, 0xcf, 0x40, 0x8d, 0xa7, 0x5d, 0x0d, 0x23, 0xd5, 0xf1],
            "<xml><ToUserName><![CDATA[gh_42a88bf47a53]]></ToUserName><FromUserName><![CDATA[ojpfmHBupgjfjaQAodZXkm4OCDbQ]]></FromUserName><CreateTime>1767974158</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[SCAN]]></Event><EventKey><![CDATA[3724046080]]></EventKey><Ticket><![CDATA[gQHr9zwAAAAAAAAAAS1odHRwOi8vd2VpeGluLnFxLmNvbS9xLzAyRVdadTduRUMtQzFKX2NSM196UjAAAgTpJGFpAwRaAAAA]]></Ticket></xml>",
            "YFMqzPtXJ7dF6XR2tR1vJqYuQDTx0LBNhHdiuPY64GE/LnO6P4ifYAnZtYqyFpM6xftBApW/oZGW16Ri/+r61eFDzB4bO/P5a5lt/r23EaFeW1ykN8MFRK/SF9aLq60VbmL8ymu8imkQlV67Kziy6nzSNpzkVw95hUUTrmHMsG7raGaWcywOo1odh1J63RKhg9E7luNyVh8Pl/SmxOaJqinWCKsuqXykKkAr/bMXf6TgjIFV9PYBWtBunfbzQ0w7KWy3Dnbd1LwUUZrI5QklRkn5bd0zE/yk9VA9lcjt+7J3dbIzJXEIx/6FtU1snpjZImez1Tql2afvXUvg/iohmUaGjfGavMJf1FJVM9EUtdbNFki7SnP1DD66rs+8TQCu3B76LjgYNJWKC+AlmgRKkhO7oTkiFol18QU7fLbLe17jeCh3AFUjolPYAvv7v+5NUl0NI4r3dN4xdMjDFuvFjdglm3ggXfZe50f2IO+/kTjfA2PWO4/wsrEfFj7FeYBvDNcpLOjPSMjWPtxQqAuIpq8rMC+x0rccS39D9nf72jueORZ63B3QKO7/wZE0+vxMadmJ7SxaVf9Re60DS5UkQg==",
        ),
        // reply whose content holds ]]>
        (
            "LNI5FNkUtoLdrKI0WPiOLOy6invc41A9huSmO4x49Ni",
            "wx955d6047789b132f",
            [0x74, 0x64, 0x6f, 0x46, 0x70, 0x78, 0x6d, 0x62, 0x50, 0x54, 0x30, 0x50, 0x78, 0x6e, 0x49, 0x70],
            "<xml><ToUserName><![CDATA[o9PJdoEsCLEG-eCMbo0IkN6RVwJ0]]></ToUserName><FromUserName><![CDATA[gh_42a88bf47a53]]></FromUserName><CreateTime>1767974171</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[x]]]]><![CDATA[>y]]></Content></xml>",
            "FAfLQ6ZJtZnVBTBkbzhvHyc0pT0BtdPkjKSpUhsBedNK59+Fcgh6fVqJApuMHB4I013p42oxNbQHnAJY4WeggcMDFJiQJBIiz/c33mRzEwY0RPIWlyly3tWbIuyrh1SfRoghExsWsvdaJQtu61J2z/EADK2DGwSjsKuJe9KMVPF6ZSxx4puiK0Vg68lLh77nPxnZlWLrg2C7GmAIAJgIe7UalIErkDb/9iRkQVwZRCy85Tx+uI0wHH+63Hlz4zL5zd5ULl0d+5r6jIPkCFCv3Rin+drLogk0oVAUJ4RJTYUZzlBZLnXNnXNgSkAQpTPsj3wfTZiGh4Y5Dz/rnKGx5SJKoLptn59iZBbDtJ7eSBvTZizghGb0sJcbZw+5TXydFm0AsMZXZC9ChURXP6ATPRlgBiYMXNFSu1gLm1bt7rg=",
        ),
    ];

    #[test]
    fn agrees_with_an_independent_implementation() {
        for (key, app_id, random, message, sealed) in VECTORS {
            let key = Key::parse(key).unwrap();
            assert_eq!(key.seal(random, message, app_id), sealed, "{message}");
            assert_eq!(key.decrypt(sealed, app_id).as_deref(), Ok(message));
            assert_eq!(key.decrypt(sealed, "wx0000"), Err(CipherError::AppId));
        }
    }

    #[test]
    fn every_padding_comes_back() {
        let key = Key::parse(VECTORS[0].0).unwrap();
        for length in 0..PAD {
            let message = "x".repeat(length);
            assert_eq!(key.decrypt(&key.encrypt(&message, "wx1"), "wx1"), Ok(message));
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let (key, app_id, _, _, sealed) = VECTORS[0];
        let other = Key::parse(VECTORS[2].0).unwrap();
        let key = Key::parse(key).unwrap();
        assert_eq!(key.decrypt("*", app_id), Err(CipherError::Base64));
        assert_eq!(key.decrypt("", app_id), Err(CipherError::Length));
        assert_eq!(key.decrypt(&STANDARD.encode([1; 48]), app_id), Err(CipherError::Length));
        assert!(other.decrypt(sealed, app_id).is_err());
        assert!(Key::parse("too short").is_none());
    }

    #[test]
    fn padding_and_length_are_checked_to_the_last_byte() {
        assert_eq!(unpad(&[2, 1, 2]), Err(CipherError::Padding));
        assert_eq!(unpad(&[7; 3]), Err(CipherError::Padding));
        assert_eq!(unpad(&[0; 32]), Err(CipherError::Padding));
        assert_eq!(unpad(&[9, 2, 2]), Ok(&[9][..]));
        let mut frame = [0; 24];
        frame[19] = 5;
        assert_eq!(unframe(&frame, ""), Err(CipherError::Frame));
        assert_eq!(unframe(&frame[..19], ""), Err(CipherError::Frame));
    }
}
