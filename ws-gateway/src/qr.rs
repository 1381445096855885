//! QR codes: asked of WeChat for a scene, drawn by us.
//!
//! The picture is drawn here, because WeChat's own would tell its host about every visitor and needs a
//! host that some networks block. WeChat's URL still goes along for pages that know nothing else.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{BoxFuture, FutureExt};
use protocol::Scene;
use tokio::sync::Semaphore;
use wechat::Class;

use crate::language::Language;
use crate::logins::QrCode;
use crate::message::{ToPage, milliseconds};

/// How long WeChat honours a code. Far longer than a login lives, so that a late scan still reaches us and
/// the phone hears why it is late.
const WECHAT_EXPIRY: Duration = Duration::from_secs(1800);

/// Calls to WeChat under way at once; pages beyond wait within the limit of a call.
const MAX_CALLS: usize = 64;

/// How long a page waits before it is told that there is no code just now.
const WITHIN: Duration = Duration::from_secs(6);

/// The waits after failures that may pass by themselves: doubling between these.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The wait after a failure that an operator has to end.
const OPERATORS_RETRY: Duration = Duration::from_secs(60);

/// Where QR codes come from.
pub(crate) trait QrCodes: Send + Sync {
    /// Gives the code of `scene`, within some seconds.
    ///
    /// # Errors
    /// [`NoQrCode`]. Dropping the future leaves at most a code that nobody is shown.
    fn make(&self, scene: Scene) -> BoxFuture<'_, Result<QrCode, NoQrCode>>;
}

/// QR codes that WeChat is asked for one by one.
#[derive(Debug)]
pub(crate) struct OnDemand {
    wechat: wechat::Client,
    pictures: String,
    calls: Semaphore,
}

/// Why there is no code just now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoQrCode {
    /// Too many pages ask at once, or WeChat is slow.
    #[error("WeChat is slow, or too many pages ask at once")]
    Slow,
    /// WeChat refused, or could not be reached.
    #[error(transparent)]
    Refused(wechat::Error),
}

impl NoQrCode {
    /// How long to wait after the `failures`th failure in a row.
    #[must_use]
    pub(crate) fn retry_in(&self, failures: u32) -> Duration {
        let passes = match self {
            Self::Slow => true,
            Self::Refused(error) => {
                matches!(error.class(), Class::Busy | Class::Transport | Class::Timeout | Class::Token)
            }
        };
        if passes {
            FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(LONGEST_RETRY)
        } else {
            OPERATORS_RETRY
        }
    }

    /// What the page is told; the operator finds the rest in the log.
    #[must_use]
    pub(crate) fn tell(&self, language: Language, retry_in: Duration) -> ToPage {
        let (code, message) = match self {
            Self::Slow => (
                "wechat_slow",
                language.of("微信服务器响应较慢，正在重试", "WeChat is slow just now; trying again"),
            ),
            Self::Refused(_) => (
                "wechat_unavailable",
                language.of(
                    "暂时无法向微信申请二维码，正在重试",
                    "WeChat gives no QR code just now; trying again",
                ),
            ),
        };
        ToPage::Error { code, message, retry_in: Some(milliseconds(retry_in)) }
    }
}

impl OnDemand {
    /// Codes from `wechat`; browsers find WeChat's own pictures at the host `pictures`.
    #[must_use]
    pub(crate) fn new(wechat: wechat::Client, pictures: String) -> Self {
        Self { wechat, pictures, calls: Semaphore::new(MAX_CALLS) }
    }

    async fn ask(&self, scene: Scene) -> Result<QrCode, NoQrCode> {
        let _place = self.calls.acquire().await.map_err(|_| NoQrCode::Slow)?;
        match self.wechat.create_qr_code(scene.as_str(), WECHAT_EXPIRY).await {
            Ok(code) => {
                let url = wechat::show_qr_code_url(&self.pictures, &code.ticket);
                Ok(QrCode { url, content: code.url })
            }
            Err(error) if error.class() == Class::Timeout => Err(NoQrCode::Slow),
            Err(error) => Err(NoQrCode::Refused(error)),
        }
    }
}

impl QrCodes for OnDemand {
    fn make(&self, scene: Scene) -> BoxFuture<'_, Result<QrCode, NoQrCode>> {
        let asked = tokio::time::timeout(WITHIN, self.ask(scene));
        async { asked.await.unwrap_or(Err(NoQrCode::Slow)) }.boxed()
    }
}

/// Pixels to a module: about 400 for a code of WeChat's usual size, crisp on any screen.
const MODULE: usize = 10;

/// Modules of white around the code (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;

/// Draws `content` as a PNG in a data URI. Nothing is drawn when it does not fit into a QR code; the page
/// then has WeChat's own picture.
#[must_use]
pub(crate) fn draw(content: &str) -> String {
    let png = qrcode::QrCode::with_error_correction_level(content, qrcode::EcLevel::M)
        .map_err(|error| error.to_string())
        .and_then(|code| paint(&code).map_err(|error| error.to_string()));
    match png {
        Ok(png) => format!("data:image/png;base64,{}", STANDARD.encode(png)),
        Err(error) => {
            tracing::warn!(error, length = content.len(), "a QR code cannot be drawn");
            String::new()
        }
    }
}

/// One bit a pixel: a kilobyte, where the same code as SVG has ten.
fn paint(code: &qrcode::QrCode) -> Result<Vec<u8>, png::EncodingError> {
    let modules = code.width();
    let across = modules + 2 * QUIET_ZONE;
    let side = across * MODULE;
    let is_dark = |x: usize, y: usize| {
        let module = |at: usize| at.checked_sub(QUIET_ZONE).filter(|at| *at < modules);
        matches!((module(x), module(y)), (Some(x), Some(y)) if code[(x, y)] == qrcode::Color::Dark)
    };
    let mut rows = Vec::with_capacity(side * side.div_ceil(8));
    for y in 0..across {
        let mut row = vec![0xff_u8; side.div_ceil(8)];
        for x in (0..across).filter(|x| is_dark(*x, y)) {
            for pixel in x * MODULE..(x + 1) * MODULE {
                row[pixel / 8] &= !(0x80 >> (pixel % 8));
            }
        }
        for _ in 0..MODULE {
            rows.extend_from_slice(&row);
        }
    }
    let mut picture = Vec::new();
    let side = u32::try_from(side).unwrap_or(u32::MAX);
    let mut encoder = png::Encoder::new(&mut picture, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder.write_header()?.write_image_data(&rows)?;
    Ok(picture)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Reads the picture as a phone's camera would.
    fn scan(data_uri: &str) -> String {
        let png = STANDARD.decode(data_uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let (width, height) = (info.width as usize, info.height as usize);
        let mut image =
            rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
        image.detect_grids()[0].decode().unwrap().1
    }

    #[test]
    fn the_picture_says_the_content_byte_for_byte() {
        let content = "http://weixin.qq.com/q/02AbCdEfGhIjKlMnOpQrSt";
        let picture = draw(content);
        assert_eq!(scan(&picture), content);
        assert!(picture.len() < 2048, "{} bytes", picture.len());
        assert_eq!(draw(&"x".repeat(5000)), "", "too long for a QR code");
    }

    #[test]
    fn waits_grow_and_an_operators_fault_is_not_hammered() {
        let waits: Vec<u64> = (1..=6).map(|n| NoQrCode::Slow.retry_in(n).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 30, 30]);
        let refused = wechat::Error::Api { code: 48001, message: String::new(), call: "qrcode/create" };
        assert_eq!(NoQrCode::Refused(refused).retry_in(1), OPERATORS_RETRY);
    }
}
