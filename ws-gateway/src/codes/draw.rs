//! The picture of a QR code, drawn here: WeChat's own would tell its host about every visitor, and needs a
//! host that some networks block.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

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
}
