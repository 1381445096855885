//! What was found, for people.

use std::fmt::Write as _;

use crate::check::{Check, Outcome};
use crate::run::{Found, outcome};
use crate::words::{Language, Words};

const RESET: &str = "\u{1b}[0m";

/// Columns of a line.
const WIDTH: usize = 112;

/// The checks, one a line, with what was found and what to do below those that are not well. Colours are for terminals.
#[must_use]
pub fn of(found: &[Found], language: Language, is_coloured: bool) -> String {
    let mut text = String::new();
    for category in found {
        let title = category.title.get(language);
        let _ = writeln!(text, "{title} ({})", category.name);
        for check in &category.checks {
            write_check(&mut text, check, language, is_coloured);
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{}", summary(found).get(language));
    text
}

fn write_check(text: &mut String, check: &Check, language: Language, is_coloured: bool) {
    let sign = match is_coloured {
        true => format!("{}{}{RESET}", colour(check.outcome), check.outcome),
        false => check.outcome.to_string(),
    };
    let description = check.description.get(language);
    let colon = if language == Language::Zh { "：" } else { ": " };
    match (&check.found, check.outcome) {
        (Some(found), Outcome::Ok) => {
            let _ = writeln!(text, "{sign} {description}{colon}{}", found.get(language));
        }
        (found, _) => {
            let _ = writeln!(text, "{sign} {description}");
            if let Some(found) = found {
                write_folded(text, "    ", "    ", found.get(language));
            }
        }
    }
    if let Some(hint) = &check.hint {
        write_folded(text, "    → ", "      ", hint.get(language));
    }
}

fn colour(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "\u{1b}[32m",
        Outcome::Warning => "\u{1b}[33m",
        Outcome::Failure => "\u{1b}[31m",
    }
}

/// Writes words, folded at blanks. Nothing of a longer word is cut, so that it can be copied.
fn write_folded(text: &mut String, first: &str, other: &str, words: &str) {
    for (number, line) in words.lines().enumerate() {
        text.push_str(if number == 0 { first } else { other });
        let mut column = other.len();
        for (at, word) in line.split(' ').enumerate() {
            let length = width(word);
            if at > 0 {
                if column + 1 + length > WIDTH {
                    let _ = write!(text, "\n{other}");
                    column = other.len();
                } else {
                    text.push(' ');
                    column += 1;
                }
            }
            text.push_str(word);
            column += length;
        }
        text.push('\n');
    }
}

/// Columns of a word: Chinese characters have two.
fn width(word: &str) -> usize {
    word.chars().map(|c| if ('\u{1100}'..='\u{ffff}').contains(&c) && c > '\u{2e7f}' { 2 } else { 1 }).sum()
}

/// How it went, in a line.
fn summary(found: &[Found]) -> Words {
    let count = |outcome| {
        found.iter().flat_map(|category| &category.checks).filter(|check| check.outcome == outcome).count()
    };
    let (well, warnings, failures) = (count(Outcome::Ok), count(Outcome::Warning), count(Outcome::Failure));
    let sign = outcome(found);
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    Words::new(
        format!(
            "{sign} {well} ok, {warnings} warning{}, {failures} failure{}",
            plural(warnings),
            plural(failures)
        ),
        format!("{sign} 正常 {well} 项，警告 {warnings} 项，失败 {failures} 项"),
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::check::Sheet;

    pub(crate) fn example() -> Vec<Found> {
        let sheet = Sheet::default();
        sheet.ok(Words::new("WeChat's API can be reached", "可以访问微信接口"));
        sheet.ok_with(Words::new("the clock is right", "时钟准确"), Words::new("0.2 s apart", "相差 0.2 秒"));
        let later = Sheet::default();
        later.warning(
            Words::new("the certificate is good for long", "证书有效期充足"),
            Words::new("it ends in 9 days", "9 天后到期"),
            Words::new("renew CALLBACK_GATEWAY_CERT", "请更新 CALLBACK_GATEWAY_CERT"),
        );
        later.failure(
            Words::new("WeChat takes this machine's address", "微信接受本机地址"),
            Words::same("40164 invalid ip 203.0.113.9"),
            Words::new("allow 203.0.113.9 in the console", "请在后台 IP 白名单中加入 203.0.113.9"),
        );
        [("net", sheet), ("keys", later)]
            .map(|(name, sheet)| Found {
                name,
                title: Words::new(name.to_uppercase(), "名称"),
                checks: sheet.checks(),
            })
            .into()
    }

    #[test]
    fn people_read_signs_and_what_to_do() {
        let text = of(&example(), Language::En, false);
        assert_eq!(
            text,
            "NET (net)\n√ WeChat's API can be reached\n√ the clock is right: 0.2 s apart\n\nKEYS (keys)\n\
             ‼ the certificate is good for long\n    it ends in 9 days\n    → renew CALLBACK_GATEWAY_CERT\n\
             × WeChat takes this machine's address\n    40164 invalid ip 203.0.113.9\n    \
             → allow 203.0.113.9 in the console\n\n× 2 ok, 1 warning, 1 failure\n"
        );
        let text = of(&example(), Language::Zh, true);
        assert!(text.contains("\u{1b}[31m×\u{1b}[0m 微信接受本机地址\n"), "{text}");
        assert!(text.ends_with("× 正常 2 项，警告 1 项，失败 1 项\n"), "{text}");
    }

    #[test]
    fn long_words_are_folded_and_not_cut() {
        let mut text = String::new();
        let url = format!("https://{}", "x".repeat(200));
        write_folded(&mut text, "    → ", "      ", &format!("{}{url} ends", "word ".repeat(40)));
        assert!(text.contains(&format!("\n      {url}\n      ends\n")), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH || line.contains(&url)), "{text}");
    }
}
