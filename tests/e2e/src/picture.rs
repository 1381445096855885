//! Pictures of the screen: their pixels, and what the phone's camera finds in them, which is the text of a QR code.

use std::io::Cursor;

use png::{Decoder, Transformations};
use rqrr::PreparedImage;

/// Reads the QR code in a PNG file of any colour type; `None` if no code can be read.
///
/// Transparent pixels count as white.
///
/// # Panics
/// When `png` is not a PNG file.
#[must_use]
pub fn scan(png: &[u8]) -> Option<String> {
    let pixels = Pixels::read(png);
    let mut picture =
        PreparedImage::prepare_from_greyscale(pixels.width, pixels.height, |x, y| luminance(pixels.at(x, y)));
    let grids = picture.detect_grids();
    grids.iter().find_map(|grid| grid.decode().ok()).map(|(_, text)| text)
}

/// What is in a picture.
#[derive(Debug, Clone)]
pub struct Pixels {
    /// Pixels of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Samples of a pixel: grey or red, green and blue, and perhaps how opaque it is.
    pub channels: usize,
    /// All samples, row by row.
    pub samples: Vec<u8>,
}

impl Pixels {
    /// Reads a PNG file of any colour type.
    ///
    /// # Panics
    /// When `png` is not a PNG file.
    #[must_use]
    pub fn read(png: &[u8]) -> Self {
        let mut decoder = Decoder::new(Cursor::new(png));
        decoder.set_transformations(Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().unwrap();
        let mut samples = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut samples).unwrap();
        let (width, height) = (frame.width as usize, frame.height as usize);
        Self { width, height, channels: frame.color_type.samples(), samples }
    }

    /// The colour of a pixel, on white: red, green and blue.
    ///
    /// # Panics
    /// When it is not in the picture.
    #[must_use]
    pub fn at(&self, x: usize, y: usize) -> [u8; 3] {
        match self.samples[(y * self.width + x) * self.channels..][..self.channels] {
            [grey] => [grey; 3],
            [grey, alpha] => [on_white(grey, alpha); 3],
            [red, green, blue] | [red, green, blue, 255] => [red, green, blue],
            [red, green, blue, alpha] => [red, green, blue].map(|part| on_white(part, alpha)),
            _ => panic!("{} channels", self.channels),
        }
    }
}

/// The brightness of a colour, by the weights of ITU-R BT.601 in 256ths.
fn luminance(pixel: [u8; 3]) -> u8 {
    let weighted: u32 = [77, 150, 29].iter().zip(pixel).map(|(weight, part)| weight * u32::from(part)).sum();
    u8::try_from(weighted / 256).unwrap_or(u8::MAX)
}

fn on_white(part: u8, alpha: u8) -> u8 {
    let dark = u16::from(u8::MAX - part) * u16::from(alpha) / u16::from(u8::MAX);
    u8::MAX - u8::try_from(dark).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use png::{BitDepth, ColorType, Encoder};

    use super::*;

    /// The text "saoma" as a QR code of version 1, without its margin.
    const SAOMA: [&str; 21] = [
        "#######....#..#######",
        "#.....#..#....#.....#",
        "#.###.#.###.#.#.###.#",
        "#.###.#.#.###.#.###.#",
        "#.###.#.#...#.#.###.#",
        "#.....#.####..#.....#",
        "#######.#.#.#.#######",
        "........##...........",
        "#.#####..#.#..#####..",
        "#.#..#.##.#####...#.#",
        "##.##.#.###.#.##.###.",
        "..##......#####..####",
        ".#.#.###....#..#.....",
        "........###.#..#.#.##",
        "#######...##.#..##.#.",
        "#.....#.##.....#####.",
        "#.###.#.#..#.#..#..#.",
        "#.###.#.##.#####.#...",
        "#.###.#.#.#.#.##.##..",
        "#.....#..######..##..",
        "#######.###.#..#...#.",
    ];

    const MODULE: usize = 5;
    const MARGIN: usize = 4;
    const SIDE: usize = MODULE * (21 + 2 * MARGIN);

    fn is_dark(x: usize, y: usize) -> bool {
        let module = |at: usize| (at / MODULE).checked_sub(MARGIN);
        let row = module(y).and_then(|y| SAOMA.get(y));
        row.zip(module(x)).is_some_and(|(row, x)| row.as_bytes().get(x) == Some(&b'#'))
    }

    fn draw(color: ColorType, depth: BitDepth, ink: &[u8], paper: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let side = u32::try_from(SIDE).unwrap();
        let mut encoder = Encoder::new(&mut file, side, side);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![0, 0, 0, 255, 255, 255]);
        }
        let pixels = (0..SIDE * SIDE).flat_map(|at| if is_dark(at % SIDE, at / SIDE) { ink } else { paper });
        let pixels: Vec<u8> = pixels.copied().collect();
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&pixels).unwrap();
        writer.finish().unwrap();
        file
    }

    #[test]
    fn a_code_is_read_in_every_colour_type() {
        use BitDepth::{Eight, Sixteen};
        use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
        let pictures: [(_, _, &[u8], &[u8]); 7] = [
            (Grayscale, Eight, &[0], &[255]),
            (Grayscale, Sixteen, &[0, 0], &[255, 255]),
            (GrayscaleAlpha, Eight, &[0, 255], &[0, 0]),
            (Indexed, Eight, &[0], &[1]),
            (Rgb, Eight, &[7, 60, 20], &[255, 250, 240]),
            (Rgba, Eight, &[0, 0, 90, 255], &[0, 0, 0, 0]),
            (Rgba, Sixteen, &[0, 0, 0, 0, 0, 0, 255, 255], &[255; 8]),
        ];
        for (color, depth, ink, paper) in pictures {
            let read = scan(&draw(color, depth, ink, paper));
            assert_eq!(read.as_deref(), Some("saoma"), "{color:?} {depth:?}");
        }
    }

    #[test]
    fn nothing_is_read_where_nothing_is() {
        let blank = draw(ColorType::Grayscale, BitDepth::Eight, &[255], &[255]);
        assert_eq!(scan(&blank), None);
    }
}
