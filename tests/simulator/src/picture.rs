//! The picture of a QR code, as `showqrcode` gives it: PNG, about 430 pixels a side.

use anyhow::Context;
use fast_qr::{ECL, QRBuilder};

/// The side of WeChat's own pictures.
const SIDE: usize = 430;

/// Modules of white on each side, from ISO/IEC 18004.
const MARGIN: usize = 4;

const WHITE: u8 = 0xff;
const BLACK: u8 = 0;

/// Draws `text` as black modules on white.
pub(crate) fn draw(text: &str) -> anyhow::Result<Vec<u8>> {
    let code = QRBuilder::new(text).ecl(ECL::M).build().context("the text is too long for a QR code")?;
    let width = code.size;
    let module = (SIDE / (width + 2 * MARGIN)).max(1);
    let side = SIDE.max(module * (width + 2 * MARGIN));
    let edge = (side - module * width) / 2;

    let mut pixels = vec![WHITE; side * side];
    for (row, line) in pixels.chunks_exact_mut(side).enumerate() {
        let Some(y) = row.checked_sub(edge).map(|row| row / module).filter(|&y| y < width) else {
            continue;
        };
        for x in (0..width).filter(|x| code[y][*x].value()) {
            line[edge + x * module..][..module].fill(BLACK);
        }
    }

    let mut file = Vec::new();
    let side = u32::try_from(side)?;
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Cursor;

    use super::*;

    fn read(file: &[u8]) -> (usize, String) {
        let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let side = reader.next_frame(&mut pixels).unwrap().width as usize;
        let mut picture =
            rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| pixels[y * side + x]);
        let (_, text) = picture.detect_grids()[0].decode().unwrap();
        (side, text)
    }

    #[test]
    fn a_reader_finds_the_text_in_the_picture() {
        for text in ["http://127.0.0.1:8090/q/02abc", &"long".repeat(100)] {
            assert_eq!(read(&draw(text).unwrap()), (SIDE, text.to_owned()));
        }
    }
}
