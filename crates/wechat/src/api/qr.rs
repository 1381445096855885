//! QR codes that carry a login's scene, the first thing a browser needs.
//!
//! `POST /cgi-bin/qrcode/create`, page "Generating a Parametric QR Code". The answer's `url` is the text to
//! encode. WeChat also draws the code, at the address that [`show_qr_code_url`] gives.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::call::QR_CODE;
use super::meter::{Free, Meter, Unmade};
use super::{Client, Error};

/// The longest life of a temporary QR code: 30 days.
pub const MAX_EXPIRE: Duration = Duration::from_secs(2_592_000);

/// The host that draws official QR codes. It is not the API's host.
pub const OFFICIAL_QR_URL: &str = "https://mp.weixin.qq.com";

/// Every character that a URL cannot hold unescaped (RFC 3986, section 2.3). Tickets may hold `+`, `/` and `=`.
const TICKET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A QR code as WeChat made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QrCode {
    /// Names the picture at WeChat. It is not a secret: it can be derived from the picture.
    pub ticket: String,
    /// The text of the QR code, to be encoded byte for byte.
    pub url: String,
    /// How long WeChat accepts scans of it, from now.
    pub expire: Duration,
}

impl Client {
    /// Makes a temporary QR code for a scene of 1 to 64 characters of `[A-Za-z0-9_-]`.
    ///
    /// `expire` is sent in whole seconds, at least one and at most [`MAX_EXPIRE`]. WeChat may answer with
    /// another time.
    ///
    /// # Errors
    /// Any [`Error`]; while the breaker is open, the refusal that opened it. After a timeout a code may exist
    /// that nobody shows, which is harmless but costs quota.
    pub async fn create_qr_code(&self, scene: &str, expire: Duration) -> Result<QrCode, Error> {
        Ok(self.create_paid_qr_code(scene, expire, &Free).await?)
    }

    /// As [`Client::create_qr_code`]; `meter` pays for each request. While the breaker is open nothing is paid.
    ///
    /// # Errors
    /// [`Unmade`]: any [`Error`], or the meter's refusal.
    pub async fn create_paid_qr_code<M: Meter>(
        &self,
        scene: &str,
        expire: Duration,
        meter: &M,
    ) -> Result<QrCode, Unmade<M::Refusal>> {
        let expire = expire.clamp(Duration::from_secs(1), MAX_EXPIRE);
        let request = Request {
            expire_seconds: expire.as_secs(),
            action_name: "QR_STR_SCENE",
            action_info: ActionInfo { scene: Scene { scene_str: scene } },
        };
        let response: Response = self
            .call(&self.breakers.qr_code, meter, |api, token| {
                api.post(QR_CODE).query(&[("access_token", token.expose())]).json(&request)
            })
            .await?;
        if response.ticket.is_empty() || response.url.is_empty() {
            return Err(
                Error::Decode { call: QR_CODE, reason: "its ticket or url is empty".to_owned() }.into()
            );
        }
        let expire = response.expire_seconds.map_or(expire, |seconds| Duration::from_secs(seconds.into()));
        Ok(QrCode { ticket: response.ticket, url: response.url, expire })
    }
}

/// The address of WeChat's picture of a QR code. Browsers need no token for it.
///
/// `base` is [`OFFICIAL_QR_URL`] or a simulator's.
pub fn show_qr_code_url(base: &str, ticket: &str) -> String {
    let base = base.trim_end_matches('/');
    format!("{base}/cgi-bin/showqrcode?ticket={}", utf8_percent_encode(ticket, TICKET))
}

#[derive(Serialize)]
struct Request<'a> {
    /// Always sent: without it the life is 30 s on one of WeChat's pages and 60 s on another.
    expire_seconds: u64,
    action_name: &'static str,
    action_info: ActionInfo<'a>,
}

/// The inner `scene` object is needed: without it the call also succeeds, but every scan of the code arrives as
/// scene 0.
#[derive(Serialize)]
struct ActionInfo<'a> {
    scene: Scene<'a>,
}

#[derive(Serialize)]
struct Scene<'a> {
    scene_str: &'a str,
}

#[derive(Deserialize)]
struct Response {
    ticket: String,
    url: String,
    expire_seconds: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_percent_encoded_and_a_trailing_slash_is_forgiven() {
        assert_eq!(
            show_qr_code_url("https://mp.weixin.qq.com/", "gQ+/-_=&é"),
            "https://mp.weixin.qq.com/cgi-bin/showqrcode?ticket=gQ%2B%2F-_%3D%26%C3%A9"
        );
    }
}
