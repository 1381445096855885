//! The operator's colour. Buttons have it under white words, and marks on the card have it; so it is checked at the start,
//! where an operator can do something about it.

use std::fmt;
use std::str::FromStr;

/// The contrast that words need, by WCAG 2.2, level AA.
const LEAST: f64 = 4.5;

const WHITE: Colour = Colour([255; 3]);

/// What marks are on in the dark: `--card` of login.css.
const DARK_CARD: Colour = Colour([0x1a, 0x1e, 0x1c]);

/// A colour under which white words can be read: on white, marks of it can be seen, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accent(Colour);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Colour([u8; 3]);

impl Accent {
    /// The rules that give a page this colour. The page's own parts and the widget in it know it by the same names.
    pub(crate) fn style(self) -> String {
        let (button, lighter) = (self.0, self.on_dark());
        format!(
            "\n/* The operator's accent. */\n:root {{ --saoma-accent: {button}; --saoma-button: {button}; }}\n\
             @media (prefers-color-scheme: dark) {{\n  :root {{ --saoma-accent: {lighter}; }}\n  \
             :focus-visible {{ outline-color: {lighter}; }}\n}}\n"
        )
    }

    /// The same, with as much white in it as marks on the dark card need.
    fn on_dark(self) -> Colour {
        let lighter = (0..=20).map(|share| self.0.with_white(share)).find(|colour| {
            let contrast = colour.contrast(DARK_CARD);
            contrast >= LEAST
        });
        lighter.unwrap_or(WHITE)
    }
}

impl FromStr for Accent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits =
            text.strip_prefix('#').filter(|digits| digits.len() == 6 && !digits.starts_with(['+', '-']));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(number) = number else {
            return Err("must be # and six hexadecimal digits, such as #07803f".to_owned());
        };
        let [_, rgb @ ..] = number.to_be_bytes();
        let colour = Colour(rgb);
        let contrast = colour.contrast(WHITE);
        if contrast < LEAST {
            // Not rounded, so that no 4.50 is said to be less than 4.5.
            let shown = (contrast * 100.0).floor() / 100.0;
            return Err(format!(
                "white words on it have a contrast of {shown:.2}:1, and need {LEAST}:1 to be read (WCAG AA); choose a darker \
                 colour"
            ));
        }
        Ok(Self(colour))
    }
}

impl Colour {
    /// The contrast ratio of WCAG 2.2: from 1 to 21.
    fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance() + 0.05, other.luminance() + 0.05);
        one.max(other) / one.min(other)
    }

    /// The relative luminance of WCAG 2.2: from 0 to 1.
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// This many twentieths of the way to white.
    fn with_white(self, share: u16) -> Self {
        // At most 255, since both are.
        let mix = |value: u8| (u16::from(value) * (20 - share) + 255 * share) / 20;
        Self(self.0.map(|value| u8::try_from(mix(value)).unwrap_or(u8::MAX)))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn white_words_on_an_accent_can_be_read() {
        // Measured with other programs: 21, 5.03, 4.54, 4.47 and 2.38.
        for good in ["#000000", "#07803f", "#767676", "#FF0000x", "#0A58ca"] {
            assert_eq!(good.parse::<Accent>().is_ok(), good.len() == 7, "{good}");
        }
        for (bright, measured) in [("#777777", "4.47:1"), ("#07c160", "2.38:1"), ("#ffffff", "1.00:1")] {
            let said = bright.parse::<Accent>().unwrap_err();
            assert!(
                said.contains(measured) && said.contains("need 4.5:1") && said.contains("darker"),
                "{said}"
            );
        }
    }

    #[test]
    fn an_accent_is_six_hexadecimal_digits() {
        for wrong in
            ["", "#", "green", "07803f", "#078", "#07803g", "#+7803f", "#07803f80", "#07803f;", "#é803f"]
        {
            let said = wrong.parse::<Accent>().unwrap_err();
            assert!(said.contains("#07803f"), "{wrong}: {said}");
        }
    }

    #[test]
    fn marks_can_be_seen_in_the_dark() {
        for dark in ["#000000", "#000080", "#07803f", "#7a0019", "#0000ff"] {
            let accent: Accent = dark.parse().unwrap();
            let (marks, style) = (accent.on_dark(), accent.style());
            assert!(marks.contrast(DARK_CARD) >= LEAST, "{dark}: {marks}");
            let (light, in_the_dark) = style.split_once("dark)").unwrap();
            assert!(light.contains(&format!("--saoma-accent: {dark}; --saoma-button: {dark};")), "{style}");
            for rule in [format!("--saoma-accent: {marks};"), format!("outline-color: {marks};")] {
                assert!(in_the_dark.contains(&rule), "{style}");
            }
        }
        assert!(crate::STYLE.contains(&format!("--card: {DARK_CARD};")), "the card has another colour now");
    }
}
