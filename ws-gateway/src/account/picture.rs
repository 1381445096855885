//! The official account's own QR code, which never changes: an operator gives its text, or a picture of it.

use std::io::Cursor;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use png::{Decoder, Limits, Transformations};
use rqrr::PreparedImage;

use crate::codes::draw;

/// Bytes of a picture's file.
const MAX_FILE: u64 = 256 * 1024;

/// Bytes of a picture's samples: 16 million pixels of grey. A small file can hold a picture of any size.
const MAX_SAMPLES: usize = 16 * 1024 * 1024;

/// Characters of its text. WeChat's has about 50.
const MAX_TEXT: usize = 300;

/// The account's own QR code, drawn anew by us: pages show all codes alike, and load nothing from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnCode(Arc<str>);

impl OwnCode {
    /// The picture, as a data URI.
    #[must_use]
    pub(crate) fn picture(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl FromStr for OwnCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_text = text.starts_with("http://") || text.starts_with("https://");
        let text = if is_text { text.to_owned() } else { read(text)? };
        let count = text.chars().count();
        if count > MAX_TEXT {
            return Err(format!("the QR code's text has {count} characters, and may have {MAX_TEXT}"));
        }
        Ok(Self(draw(&text).into()))
    }
}

/// The text of the QR code in the PNG file at `path`.
fn read(path: &str) -> Result<String, String> {
    let file = server::file::read(Path::new(path), MAX_FILE).map_err(|error| {
        format!("the file {path:?} cannot be read: {error}; the text of a QR code begins with http")
    })?;
    scan(&file).map_err(|problem| format!("the file {path:?} {problem}"))
}

fn scan(file: &[u8]) -> Result<String, String> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(file), Limits { bytes: MAX_SAMPLES });
    decoder.set_transformations(Transformations::normalize_to_color8());
    let no_picture = |error: png::DecodingError| format!("is no PNG picture that can be read: {error}");
    let mut reader = decoder.read_info().map_err(no_picture)?;
    let size = reader.output_buffer_size().filter(|size| *size <= MAX_SAMPLES);
    let mut samples = vec![0; size.ok_or("is a picture with too many pixels")?];
    let frame = reader.next_frame(&mut samples).map_err(no_picture)?;
    let (width, height, channels) = (frame.width as usize, frame.height as usize, frame.color_type.samples());
    let grey = |x: usize, y: usize| {
        let pixel = samples.get((y * width + x) * channels..).and_then(|rest| rest.get(..channels));
        pixel.map_or(u8::MAX, grey)
    };
    let mut picture = PreparedImage::prepare_from_greyscale(width, height, grey);
    let found = picture.detect_grids().iter().find_map(|grid| grid.decode().ok()).map(|(_, text)| text);
    found.ok_or_else(|| "shows no QR code that can be read; cut everything else off".to_owned())
}

/// How bright a pixel is, on white.
fn grey(pixel: &[u8]) -> u8 {
    let (colours, alpha) = match pixel {
        [grey, alpha] => (std::slice::from_ref(grey), *alpha),
        [.., alpha] if pixel.len() == 4 => (&pixel[..3], *alpha),
        colours => (colours, u8::MAX),
    };
    let sum: u32 = colours.iter().map(|part| u32::from(*part)).sum();
    let bright = sum / u32::try_from(colours.len().max(1)).unwrap_or(1);
    let dark = (255 - bright.min(255)) * u32::from(alpha) / 255;
    u8::try_from(255 - dark).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use tempfile::tempdir;

    use super::*;

    const TEXT: &str = "http://weixin.qq.com/r/abcDEF012345";

    fn png_of(picture: &str) -> Vec<u8> {
        STANDARD.decode(picture.strip_prefix("data:image/png;base64,").unwrap()).unwrap()
    }

    #[test]
    fn a_text_and_a_picture_of_it_come_to_the_same() {
        let by_text: OwnCode = TEXT.parse().unwrap();
        assert_eq!(scan(&png_of(&by_text.picture())).unwrap(), TEXT);
        let place = tempdir().unwrap();
        let path = place.path().join("account.png");
        std::fs::write(&path, png_of(&by_text.picture())).unwrap();
        assert_eq!(path.to_str().unwrap().parse::<OwnCode>().unwrap(), by_text);
    }

    #[test]
    fn every_colour_type_is_read_on_white() {
        assert_eq!([grey(&[7]), grey(&[0, 0]), grey(&[0, 255])], [7, 255, 0]);
        assert_eq!([grey(&[10, 20, 30]), grey(&[0, 0, 0, 0]), grey(&[0, 0, 0, 255])], [20, 255, 0]);
    }

    #[test]
    fn a_fault_is_said_with_the_file_and_what_is_wrong() {
        let place = tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = place.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let mut blank = Vec::new();
        let encoder = png::Encoder::new(&mut blank, 64, 64);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[255; 64 * 64]).unwrap();
        writer.finish().unwrap();
        let mut huge = Vec::new();
        let encoder = png::Encoder::new(&mut huge, 60_000, 60_000);
        encoder.write_header().unwrap();
        let long = format!("http://{}", "x".repeat(MAX_TEXT));
        for (text, says) in [
            ("/nowhere/account.png".to_owned(), "cannot be read"),
            (place.path().to_str().unwrap().to_owned(), "cannot be read"),
            ("weixin.qq.com/r/1".to_owned(), "begins with http"),
            (write("photo.jpg", b"\xff\xd8\xff\xe0 JFIF"), "no PNG picture"),
            (write("cut.png", &blank[..40]), "no PNG picture"),
            (write("blank.png", &blank), "shows no QR code"),
            (write("huge.png", &huge), "picture"),
            (write("large.png", &[0; 256 * 1024 + 1]), "more than 262144 bytes"),
            (long, "may have 300"),
        ] {
            let said = text.parse::<OwnCode>().unwrap_err();
            assert!(said.contains(says) && !said.contains('\n'), "{text}: {said}");
        }
    }
}
