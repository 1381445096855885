//! What nobody sees in a text: a byte order mark, a blank at the end, quotation marks that a file keeps.
//!
//! They are copied along with a secret. WeChat then says that the secret is wrong, and an operator might reset one that
//! was right. In what strangers write they hide something, or turn the words beside it.

/// The text without line ends behind it, which editors and `echo` put there.
///
/// # Errors
/// Says which character cannot belong to a secret or an id, and where it is. The text itself is never repeated.
pub fn visible(text: &str) -> Result<&str, String> {
    let text = text.trim_end_matches(['\r', '\n']);
    let wrong = |character: char, place: &str| {
        let (name, code) = (name(character), u32::from(character));
        Err(format!("has {name} (U+{code:04X}) {place}; take it out"))
    };
    let (first, last) = (text.chars().next(), text.chars().next_back());
    let is_blank = |character: &char| character.is_whitespace() || is_invisible(*character);
    if let Some(first) = first.filter(is_blank) {
        return wrong(first, "at its start");
    }
    if let Some(last) = last.filter(is_blank) {
        return wrong(last, "at its end");
    }
    // A blank between words may be meant.
    if let Some(inside) = text.chars().filter(|character| *character != ' ').find(is_blank) {
        return wrong(inside, "inside");
    }
    match (first, last) {
        (Some(open), Some(close)) if text.len() > 1 && is_quotation(open, close) => {
            wrong(open, "around it: quotation marks that were read as part of it")
        }
        _ => Ok(text),
    }
}

/// As [`visible`], for what has no blanks inside, for use as a clap value parser.
///
/// # Errors
/// As [`visible`].
pub fn identifier(text: &str) -> Result<String, String> {
    let text = visible(text)?;
    if text.contains(' ') {
        Err("has a blank (U+0020) inside; take it out".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// A line in which everything that nobody sees is a blank, for what strangers may have written.
#[must_use]
pub fn plain(text: impl Into<String>) -> String {
    let text = text.into();
    let is_plain = |letter: char| letter == ' ' || !(letter.is_whitespace() || is_invisible(letter));
    if text.chars().all(is_plain) {
        return text;
    }
    text.chars().map(|letter| if is_plain(letter) { letter } else { ' ' }).collect()
}

fn is_quotation(open: char, close: char) -> bool {
    let pairs = [('"', '"'), ('\'', '\''), ('`', '`'), ('\u{201c}', '\u{201d}'), ('\u{2018}', '\u{2019}')];
    pairs.contains(&(open, close))
}

/// Characters that show nothing, beside blanks: they control, join or divide text, or change its direction.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn name(character: char) -> &'static str {
    match character {
        '\u{feff}' => "a byte order mark",
        ' ' => "a blank",
        '\t' => "a tab",
        '\r' => "a carriage return",
        '\n' => "a line break",
        '\u{a0}' => "a no-break space",
        '\u{3000}' => "an ideographic space",
        '\u{200b}' => "a zero-width space",
        '"' | '\'' | '`' | '\u{201c}' | '\u{2018}' => "a quotation mark",
        _ if character.is_control() => "a control character",
        _ => "an invisible character",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides_in_a_plain_line_and_nothing_turns_it() {
        for hidden in [
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{2028}',
            '\u{feff}',
            '\u{e0041}',
            '\n',
            '\u{1b}',
            '\u{3000}',
        ] {
            assert_eq!(plain(format!("a{hidden}b")), "a b", "{hidden:?}");
        }
        assert_eq!(plain("微信 · Zoë — “x”…"), "微信 · Zoë — “x”…");
    }

    #[test]
    fn line_ends_are_forgiven() {
        for text in ["s3cret", "s3cret\n", "s3cret\r\n", "s3cret\n\n", "s3cret\r\n\r\n", "s3cret\r"] {
            assert_eq!(visible(text), Ok("s3cret"), "{text:?}");
        }
        assert_eq!(visible("two words, and $%&'\"!"), Ok("two words, and $%&'\"!"));
        assert_eq!(visible("\""), Ok("\""), "one mark is around nothing");
    }

    #[test]
    fn whatever_nobody_sees_is_named_with_its_place_and_the_secret_is_not() {
        for (text, said) in [
            ("\u{feff}s3cret", "has a byte order mark (U+FEFF) at its start"),
            (" s3cret", "has a blank (U+0020) at its start"),
            ("s3cret ", "has a blank (U+0020) at its end"),
            ("s3cret \n", "has a blank (U+0020) at its end"),
            ("s3cret\t", "has a tab (U+0009) at its end"),
            ("\ns3cret", "has a line break (U+000A) at its start"),
            ("s3c\r\nret", "has a carriage return (U+000D) inside"),
            ("s3cret\u{a0}", "has a no-break space (U+00A0) at its end"),
            ("\u{3000}s3cret", "has an ideographic space (U+3000) at its start"),
            ("s3c\u{3000}ret", "has an ideographic space (U+3000) inside"),
            ("s3c\u{200b}ret", "has a zero-width space (U+200B) inside"),
            ("s3cret\u{2060}", "has an invisible character (U+2060) at its end"),
            ("s3\u{ad}cret", "has an invisible character (U+00AD) inside"),
            ("s3\u{202e}cret", "has an invisible character (U+202E) inside"),
            ("s3\u{2028}cret", "has an invisible character (U+2028) inside"),
            ("s3\u{0}cret", "has a control character (U+0000) inside"),
            ("\"s3cret\"", "has a quotation mark (U+0022) around it"),
            ("'s3cret'\n", "has a quotation mark (U+0027) around it"),
            ("\u{201c}s3cret\u{201d}", "has a quotation mark (U+201C) around it"),
        ] {
            let problem = visible(text).err().unwrap_or_default();
            assert!(problem.starts_with(said), "{text:?}: {problem}");
            assert!(!problem.contains("s3"), "{problem}");
            assert_eq!(identifier(text).err(), Some(problem), "{text:?}");
        }
        assert!(identifier("wx01 23").is_err());
    }
}
