//! Makes the README's pictures from those that the test `pages` keeps:
//!
//!     WRITE_SCREENSHOTS=/tmp/pages cargo test --workspace --test pages
//!     cargo run --package e2e --example screenshots /tmp/pages docs
//!
//! `login.png` has the code, the number on a page at night, the conversation on the simulated phone, and the end.
//! `widget.png` has the code in a page of a site. Look at what it made.

#![allow(clippy::unwrap_used, reason = "whoever makes the pictures reads the panic")]

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::browser::Browser;
use e2e::picture::Pixels;
use png::{BitDepth, ColorType, Compression, Encoder};

const LOGIN: [&str; 4] = [
    "login_waiting-zh-CN-light-phone",
    "number-zh-CN",
    "conversation-zh-CN",
    "login_granted-zh-CN-light-phone",
];
const WIDGET: [&str; 1] = ["widget-zh-CN"];

/// Pictures beside each other, each of them cut to what is in its middle.
const FRAME: &str = "<!doctype html><meta charset=utf-8><style>
    body { margin: 0 }
    main { display: inline-flex; gap: 16px; padding: 16px; background: #e4e8ec }
    img { object-fit: cover; border-radius: 10px; box-shadow: 0 1px 6px #0003 }
</style><main>";

#[tokio::main]
async fn main() {
    let folders: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [from, to] = &folders[..] else {
        panic!("name the folder of the screenshots, and the one to write to")
    };
    let browser = Browser::start("zh-CN").await;
    browser.client.set_window_size(2000, 1500).await.unwrap();
    for (name, parts, style) in
        [("login.png", &LOGIN[..], "width: 300px; height: 480px"), ("widget.png", &WIDGET, "width: 900px")]
    {
        let pictures = parts.iter().map(|part| {
            let png = fs::read(from.join(format!("{part}.png"))).unwrap();
            let place = if part.starts_with("conversation") { "; object-position: top" } else { "" };
            format!("<img style='{style}{place}' src=data:image/png;base64,{}>", STANDARD.encode(png))
        });
        let html = format!("{FRAME}{}", pictures.collect::<String>());
        let page = from.join("frame.html");
        fs::write(&page, html).unwrap();
        browser.open(&format!("file://{}", page.canonicalize().unwrap().display())).await;
        let picture = Pixels::read(&browser.picture_of("main").await.unwrap());
        write(&to.join(name), &picture);
    }
}

/// Writes a picture with a palette: its most frequent colours, and for every other one the nearest of those.
fn write(file: &Path, picture: &Pixels) {
    let all = (0..picture.height).flat_map(|y| (0..picture.width).map(move |x| picture.at(x, y)));
    let all: Vec<[u8; 3]> = all.collect();
    let mut counts = HashMap::<[u8; 3], usize>::new();
    for colour in &all {
        *counts.entry(*colour).or_default() += 1;
    }
    let mut palette: Vec<[u8; 3]> = counts.keys().copied().collect();
    palette.sort_by_key(|colour| (Reverse(counts[colour]), *colour));
    palette.truncate(256);
    let distance = |one: [u8; 3], other: [u8; 3]| -> u32 {
        (0..3).map(|part| u32::from(one[part].abs_diff(other[part])).pow(2)).sum()
    };
    let nearest = |colour: [u8; 3]| {
        let index = (0..palette.len()).min_by_key(|index| distance(palette[*index], colour)).unwrap();
        (colour, u8::try_from(index).unwrap())
    };
    let indices: HashMap<[u8; 3], u8> = counts.keys().copied().map(nearest).collect();
    let pixels: Vec<u8> = all.iter().map(|colour| indices[colour]).collect();
    let size = |length: usize| u32::try_from(length).unwrap();
    let mut png = Vec::new();
    let mut encoder = Encoder::new(&mut png, size(picture.width), size(picture.height));
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(palette.concat());
    encoder.set_compression(Compression::High);
    encoder.set_filter(png::Filter::NoFilter);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    fs::write(file, png).unwrap();
}
