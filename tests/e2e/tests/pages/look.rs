//! How a picture looks, in so few numbers that they can be kept in a text: the mean colour of each block.
//!
//! Two pictures look alike if each block of one is found in the other, in its place or beside it. So it is no matter which
//! font there is, where a line breaks, or how edges are smoothed; but a colour is, and a button that is gone. Plain areas
//! have to be exactly as they were, as far as the eye goes.

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
const AREA: usize = 16;

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
    pub(crate) fn of(pixels: &Pixels, masks: &[Mask]) -> Self {
        let (width, height) = (pixels.width, pixels.colours.len() / pixels.width);
        let (across, down) = (width.div_ceil(BLOCK), height.div_ceil(BLOCK));
        let mut sums = vec![([0_u32; 3], 0_u32); across * down];
        for (y, row) in pixels.colours.chunks_exact(width).enumerate() {
            let hidden: Vec<&Mask> = masks.iter().filter(|mask| mask.has_row(y)).collect();
            for (x, colour) in row.iter().enumerate() {
                let (sum, count) = &mut sums[y / BLOCK * across + x / BLOCK];
                let colour = if hidden.iter().any(|mask| mask.has_column(x)) { &[128; 3] } else { colour };
                for (sum, part) in sum.iter_mut().zip(colour) {
                    *sum += u32::from(*part);
                }
                *count += 1;
            }
        }
        // The nearest of 64 levels.
        let level = |sum: u32, count: u32| u8::try_from((sum * 63 + count * 127) / (count * 255)).unwrap();
        let blocks = sums.iter().map(|(sum, count)| sum.map(|sum| level(sum, *count))).collect();
        Self { across, blocks }
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
            let (x, y) = at(index);
            let around = |look: &Self| -> Vec<Colour> {
                let rows = y.saturating_sub(1)..(y + 2).min(down);
                let columns = x.saturating_sub(1)..(x + 2).min(self.across);
                rows.flat_map(|y| columns.clone().map(move |x| (x, y)))
                    .map(|(x, y)| look.blocks[y * self.across + x])
                    .collect()
            };
            !is_same_size
                || !is_among(self.blocks[index], &around(other), tolerance)
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
        let count = |look: &Self, colour: Colour| {
            let is_it = |it: &&Colour| (0..3).all(|part| it[part].abs_diff(colour[part]) <= NOTHING);
            look.blocks.iter().filter(is_it).count()
        };
        let is_lost = |colour: &&Colour| {
            let there = count(self, **colour);
            there >= self.blocks.len() / AREA && count(other, **colour) < there / 2
        };
        self.blocks.iter().find(is_lost).copied()
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
    fn has_row(&self, y: usize) -> bool {
        (self.y..self.y + self.height).contains(&(y as f64))
    }

    fn has_column(&self, x: usize) -> bool {
        (self.x..self.x + self.width).contains(&(x as f64))
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

#[test]
fn a_look_is_the_same_after_it_was_written_and_read() {
    let colours: Vec<[u8; 3]> = (0..200 * 300_u32)
        .map(|at| {
            if at % 200 < 60 || at > 40_000 {
                [255, 128, 7]
            } else {
                [u8::try_from(at % 251).unwrap(), 0, 90]
            }
        })
        .collect();
    let mask = Mask { x: 0.0, y: 100.0, width: 50.5, height: 52.0 };
    let look = Look::of(&Pixels { width: 200, colours }, &[mask]);
    let text = look.to_string();
    assert!(text.contains("*2 ") && text.contains("\n=") && text.contains("WWW"), "{text}");
    assert!(Look::parse(&text.lines().collect::<Vec<_>>()) == look);
}

#[test]
fn what_moves_a_little_is_alike_and_what_comes_goes_or_changes_its_colour_is_not() {
    let picture = |left: usize, width: usize, ink: [u8; 3]| {
        let is_ink =
            |at: usize| (left..left + width).contains(&(at % 400)) && (100..144).contains(&(at / 400));
        let colours = (0..400 * 400).map(|at| if is_ink(at) { ink } else { [255, 255, 255] }).collect();
        Look::of(&Pixels { width: 400, colours }, &[])
    };
    let green = picture(100, 140, [7, 128, 63]);
    assert_eq!(green.differences(&picture(112, 130, [12, 120, 60])), []);
    for other in [picture(100, 140, [63, 128, 7]), picture(0, 0, [0; 3]), picture(0, 400, [7, 128, 63])] {
        assert_ne!(green.differences(&other), []);
        assert_ne!(other.differences(&green), []);
    }
    let [white, grey] = [[255; 3], [243, 245, 244]]
        .map(|colour| Look::of(&Pixels { width: 400, colours: vec![colour; 400 * 400] }, &[]));
    assert_eq!(white.differences(&grey), []);
    assert_eq!(white.other_area(&grey).as_deref(), Some("#ffffff"));
    assert_eq!(white.other_area(&white), None);
}
