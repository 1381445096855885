//! The picture of a QR code, drawn here: WeChat's own would tell its host about every visitor, and needs a
//! host that some networks block.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qrcodegen::{Mask, QrCode, QrCodeEcc, QrSegment, Version};

/// Pixels to a module: half a byte of a picture that has one bit a pixel. A code of WeChat's usual size is 164 pixels wide,
/// which a phone can read where a page shows it as it is; our own page shows it larger. Twice as many pixels take three
/// times as long.
const MODULE: usize = 4;

/// Modules of white around the code (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;

/// The pattern that is laid over every code. ISO/IEC 18004 has a writer try all eight and take the one that is easiest to
/// find by camera; that takes twenty times as long as all else of the code, and readers must read each of them.
const MASK: u8 = 0;

/// Bytes for which there is room from the start: more than the picture of a code of WeChat's usual size takes.
const USUAL_SIZE: usize = 1536;

/// Draws `content` as a PNG in a data URI. If it does not fit into a QR code the answer is empty, and the page shows
/// WeChat's own picture.
#[must_use]
pub(crate) fn draw(content: &str) -> String {
    let segments = QrSegment::make_segments(content);
    let (ecc, mask) = (QrCodeEcc::Medium, Some(Mask::new(MASK)));
    let code = QrCode::encode_segments_advanced(&segments, ecc, Version::MIN, Version::MAX, mask, false);
    let png = code
        .map_err(|error| error.to_string())
        .and_then(|code| paint(&code).map_err(|error| error.to_string()));
    match png {
        Ok(png) => {
            let mut picture = String::with_capacity(USUAL_SIZE);
            picture.push_str("data:image/png;base64,");
            STANDARD.encode_string(png, &mut picture);
            picture
        }
        Err(error) => {
            tracing::warn!(error, length = content.len(), "a QR code cannot be drawn");
            String::new()
        }
    }
}

/// Paints the code, with white around it.
fn paint(code: &QrCode) -> Result<Vec<u8>, png::EncodingError> {
    let (side, lines) = filtered(code);
    let mut picture = Vec::with_capacity(USUAL_SIZE);
    let mut encoder = png::Encoder::new(&mut picture, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header()?;
    let mut compressor = fdeflate::Compressor::new(Vec::with_capacity(USUAL_SIZE))?;
    compressor.write_data(&lines)?;
    writer.write_chunk(png::chunk::IDAT, &compressor.finish()?)?;
    // It writes the picture's end when it is dropped.
    drop(writer);
    Ok(picture)
}

/// Pixels from side to side, and the lines as PNG compresses them: each is its difference from the one above, which its first
/// byte says (PNG, section 9, filter "Up"). So all but the first of a module's lines are nothing, and are never painted.
fn filtered(code: &QrCode) -> (u32, Vec<u8>) {
    const UP: u8 = 2;
    const WHITE: u8 = 0xff;
    let across = usize::try_from(code.size()).unwrap_or_default() + 2 * QUIET_ZONE;
    let (side, bytes) = (across * MODULE, across.div_ceil(2));
    let mut lines = vec![0; side * (1 + bytes)];
    lines.chunks_exact_mut(1 + bytes).for_each(|line| line[0] = UP);
    lines[1..=bytes].fill(WHITE);
    let mut above = vec![WHITE; bytes];
    let modules = lines.chunks_exact_mut(MODULE * (1 + bytes)).skip(QUIET_ZONE);
    // The last is the first line of white below the code.
    for (y, lines) in (0..=code.size()).zip(modules) {
        let pixels = lines[1 + QUIET_ZONE / 2..].iter_mut().zip(&mut above[QUIET_ZONE / 2..]);
        // Two modules are a byte. Dark and light come as by chance, so there is no branch to guess.
        for (x, (pixels, above)) in (0..code.size()).step_by(2).zip(pixels) {
            let (left, right) = (code.get_module(x, y), code.get_module(x + 1, y));
            let these = !((u8::from(left) * 0xf0) | (u8::from(right) * 0x0f));
            *pixels = these.wrapping_sub(*above);
            *above = these;
        }
    }
    (u32::try_from(side).unwrap_or(u32::MAX), lines)
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
        assert!(picture.len() < 1400, "{} bytes", picture.len());
        assert_eq!(draw(&"x".repeat(5000)), "", "too long for a QR code");
    }

    #[test]
    fn codes_of_every_size_can_be_read() {
        for length in [1, 14, 26, 42, 62, 84, 106, 122, 152, 180, 213, 500, 1_000, 2_331] {
            let content: String = (0..length).map(|at| char::from(b'!' + (at * 7 % 90) as u8)).collect();
            assert_eq!(scan(&draw(&content)), content, "{length} bytes");
        }
        assert_eq!(scan(&draw("扫码登录")), "扫码登录");
    }
}
