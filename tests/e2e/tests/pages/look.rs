//! How a picture looks, in so few numbers that they can be kept in a text: the mean colour of each block.
//!
//! Two pictures look alike if each block of one is found in the other, in its place or beside it. So it is no matter which
//! font there is, where a line breaks, or how edges are smoothed; but a colour is, and a button that is gone. Plain areas
//! have to be exactly as they were, as far as the eye goes.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use e2e::picture::Pixels;

/// The side of a block in pixels.
pub(crate) const BLOCK: usize = 26;

/// What a font changes in a block of text, of 63. In a few blocks, where a line ends elsewhere, it is twice as much.
const TOLERANCE: u8 = 5;
const A_FEW: usize = 4;

/// What the eye might not see of a plain colour, of 63.
const NOTHING: u8 = 1;

/// The blocks of one colour that make it an area: a part of all.
const AREA: usize = 12;

/// The digits of a level between 0 and 63.
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/";

/// Red, green and blue, each from 0 to 63.
type Colour = [u8; 3];

/// A part of a picture that is not looked at, in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mask {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// How a picture looks.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Look {
    across: usize,
    blocks: Vec<Colour>,
}

/// A block that is not found in the other picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Where its middle is, in pixels.
    pub(crate) x: usize,
    pub(crate) y: usize,
    was: Colour,
    is: Colour,
}

impl Look {
    /// How a picture of a screen looks, where no pixel is transparent.
    pub(crate) fn of(mut pixels: Pixels, masks: &[Mask]) -> Self {
        for mask in masks {
            mask.cover(&mut pixels);
        }
        let Pixels { width, height, channels, samples } = pixels;
        let (across, down) = (width.div_ceil(BLOCK), height.div_ceil(BLOCK));
        let mut sums = vec![[0_u32; 4]; across * down];
        // Plain loops, because there are a million pixels in a picture, and tests are not optimised.
        for y in 0..height {
            for column in 0..across {
                let [mut red, mut green, mut blue, mut count] = sums[y / BLOCK * across + column];
                let mut at = (y * width + column * BLOCK) * channels;
                let end = (y * width + width.min((column + 1) * BLOCK)) * channels;
                while at < end {
                    red += u32::from(samples[at]);
                    green += u32::from(samples[at + 1]);
                    blue += u32::from(samples[at + 2]);
                    count += 1;
                    at += channels;
                }
                sums[y / BLOCK * across + column] = [red, green, blue, count];
            }
        }
        // The nearest of 64 levels.
        let level = |sum: u32, count: u32| u8::try_from((sum * 63 + count * 127) / (count * 255)).unwrap();
        let colour = |[red, green, blue, count]: [u32; 4]| [red, green, blue].map(|sum| level(sum, count));
        Self { across, blocks: sums.into_iter().map(colour).collect() }
    }

    /// Where another picture differs from this one, which is how it was.
    pub(crate) fn differences(&self, other: &Self) -> Vec<Difference> {
        let slight = self.beyond(TOLERANCE, other);
        if slight.len() > A_FEW { slight } else { self.beyond(2 * TOLERANCE, other) }
    }

    fn beyond(&self, tolerance: u8, other: &Self) -> Vec<Difference> {
        let down = self.blocks.len() / self.across;
        let is_same_size = self.across == other.across && self.blocks.len() == other.blocks.len();
        let at = |index: usize| (index % self.across, index / self.across);
        let different = (0..self.blocks.len()).filter(|&index| {
            if !is_same_size {
                return true;
            }
            if self.blocks[index] == other.blocks[index] {
                return false;
            }
            let (x, y) = at(index);
            let around = |look: &Self| -> Vec<Colour> {
                let rows = y.saturating_sub(1)..(y + 2).min(down);
                let columns = x.saturating_sub(1)..(x + 2).min(self.across);
                rows.flat_map(|y| columns.clone().map(move |x| (x, y)))
                    .map(|(x, y)| look.blocks[y * self.across + x])
                    .collect()
            };
            !is_among(self.blocks[index], &around(other), tolerance)
                || !is_among(other.blocks[index], &around(self), tolerance)
        });
        let difference = |index: usize| {
            let (x, y) = at(index);
            let is = other.blocks.get(index).copied().unwrap_or_default();
            Difference { x: x * BLOCK + BLOCK / 2, y: y * BLOCK + BLOCK / 2, was: self.blocks[index], is }
        };
        different.map(difference).collect()
    }

    /// An area of this picture that the other has not, or by far not as large: its colour.
    fn lost_area(&self, other: &Self) -> Option<Colour> {
        let (here, there) = (self.areas(), other.areas());
        let is_lost = |(colour, size): &(&Colour, &usize)| {
            let is_it = |it: &Colour| (0..3).all(|part| it[part].abs_diff(colour[part]) <= NOTHING);
            let left: usize = there.iter().filter(|(it, _)| is_it(it)).map(|(_, size)| size).sum();
            **size >= self.blocks.len() / AREA && left < **size / 3
        };
        here.iter().find(is_lost).map(|(colour, _)| *colour)
    }

    /// How many blocks of which colours are in plain areas, where those beside and below are the same.
    fn areas(&self) -> BTreeMap<Colour, usize> {
        let mut areas = BTreeMap::new();
        let rows: Vec<&[Colour]> = self.blocks.chunks_exact(self.across).collect();
        for two in rows.windows(2) {
            for (above, below) in two[0].windows(2).zip(two[1].windows(2)) {
                if above == below && above[0] == above[1] {
                    *areas.entry(above[0]).or_default() += 1;
                }
            }
        }
        areas
    }

    /// The colour of an area that only one of both has, as a page's style would say it.
    pub(crate) fn other_area(&self, other: &Self) -> Option<String> {
        self.lost_area(other).or_else(|| other.lost_area(self)).map(css)
    }

    /// The look that is written in these lines.
    ///
    /// # Panics
    /// When they are not what `Display` writes.
    pub(crate) fn parse(lines: &[&str]) -> Self {
        let (mut across, mut blocks) = (0, Vec::new());
        for line in lines {
            if let Some(times) = line.strip_prefix('=') {
                let row = blocks[blocks.len() - across..].to_vec();
                blocks.extend(row.repeat(times.parse().unwrap()));
                continue;
            }
            let before = blocks.len();
            for run in line.split(' ') {
                let (colour, times) = run.split_once('*').unwrap_or((run, "1"));
                let level = |digit| DIGITS.iter().position(|it| *it == digit).unwrap();
                let colour: Vec<u8> =
                    colour.bytes().map(|digit| u8::try_from(level(digit)).unwrap()).collect();
                let colour: Colour = colour.try_into().unwrap();
                blocks.extend(std::iter::repeat_n(colour, times.parse().unwrap()));
            }
            across = blocks.len() - before;
        }
        Self { across, blocks }
    }
}

/// Whether each part of a colour is among what these have, or near.
fn is_among(colour: Colour, others: &[Colour], tolerance: u8) -> bool {
    (0..3).all(|part| {
        let least = others.iter().map(|other| other[part]).min().unwrap_or_default();
        let most = others.iter().map(|other| other[part]).max().unwrap_or_default();
        (least.saturating_sub(tolerance)..=most + tolerance).contains(&colour[part])
    })
}

impl Mask {
    /// Paints what it covers.
    fn cover(&self, pixels: &mut Pixels) {
        let whole = |at: f64, most: usize| (at.round().max(0.0) as usize).min(most);
        let (left, right) = (whole(self.x, pixels.width), whole(self.x + self.width, pixels.width));
        for y in whole(self.y, pixels.height)..whole(self.y + self.height, pixels.height) {
            let row = y * pixels.width;
            pixels.samples[(row + left) * pixels.channels..(row + right) * pixels.channels].fill(128);
        }
    }
}

/// A line for each row of blocks: runs of one colour as `/T0*12`, and `=3` for three rows like the one before.
impl fmt::Display for Look {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |level: u8| char::from(DIGITS[usize::from(level)]);
        let rows: Vec<&[Colour]> = self.blocks.chunks_exact(self.across).collect();
        for same in rows.chunk_by(|one, other| one == other) {
            let runs = same[0].chunk_by(|one, other| one == other).map(|run| {
                let mut text: String = run[0].map(digit).iter().collect();
                if run.len() > 1 {
                    write!(text, "*{}", run.len()).unwrap();
                }
                text
            });
            writeln!(formatter, "{}", runs.collect::<Vec<_>>().join(" "))?;
            if same.len() > 1 {
                writeln!(formatter, "={}", same.len() - 1)?;
            }
        }
        Ok(())
    }
}

/// A colour as a page's style says it.
fn css(colour: Colour) -> String {
    let [red, green, blue] = colour.map(|part| u32::from(part) * 255 / 63);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { x, y, was, is } = *self;
        write!(formatter, "{} and is {} at x {x}, y {y}", css(was), css(is))
    }
}

/// A picture in which each pixel has the colour that `at` says.
#[cfg(test)]
fn picture(width: usize, height: usize, at: impl Fn(usize, usize) -> [u8; 3]) -> Pixels {
    let samples = (0..width * height).flat_map(|it| at(it % width, it / width)).collect();
    Pixels { width, height, channels: 3, samples }
}

#[test]
fn a_look_is_the_same_after_it_was_written_and_read() {
    let mask = Mask { x: 0.0, y: 100.0, width: 50.5, height: 52.0 };
    let pixels =
        picture(
            200,
            300,
            |x, y| {
                if x < 60 || y > 200 { [255, 128, 7] } else { [u8::try_from(x).unwrap(), 0, 90] }
            },
        );
    let look = Look::of(pixels, &[mask]);
    let text = look.to_string();
    assert!(text.contains("*2 ") && text.contains("\n=") && text.contains("WWW"), "{text}");
    assert!(Look::parse(&text.lines().collect::<Vec<_>>()) == look);
}

#[test]
fn what_moves_a_little_is_alike_and_what_comes_goes_or_changes_its_colour_is_not() {
    let button = |left: usize, width: usize, ink: [u8; 3]| {
        let is_ink = |x, y| (left..left + width).contains(&x) && (100..144).contains(&y);
        Look::of(picture(400, 400, |x, y| if is_ink(x, y) { ink } else { [255; 3] }), &[])
    };
    let green = button(100, 140, [7, 128, 63]);
    assert_eq!(green.differences(&button(112, 130, [12, 120, 60])), []);
    for other in [button(100, 140, [63, 128, 7]), button(0, 0, [0; 3]), button(0, 400, [7, 128, 63])] {
        assert_ne!(green.differences(&other), []);
        assert_ne!(other.differences(&green), []);
    }
    let [white, grey] =
        [[255; 3], [243, 245, 244]].map(|colour| Look::of(picture(400, 400, |_, _| colour), &[]));
    assert_eq!(white.differences(&grey), []);
    assert_eq!(white.other_area(&grey).as_deref(), Some("#ffffff"));
    assert_eq!(white.other_area(&white), None);
}
