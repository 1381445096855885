//! What comes back from the back end: an answer for WeChat, or the reason why there is none.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use server::http::{self as web, Response};

use super::breaker;

/// Bytes of an answer. A real one has a few hundred, and three times that when it is encrypted.
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// The types of content under which an answer may go back. WeChat looks at none of them. A back end that has set none often
/// says `text/html`; but what it quotes of a person must never be a page of ours.
const TYPES: [&str; 3] = ["text/xml", "application/xml", "text/plain"];

/// What the back end has answered, and WeChat gets as it is.
#[derive(Debug)]
pub(crate) struct Answer {
    text: String,
    content_type: Option<HeaderValue>,
}

impl Answer {
    /// Takes an answer's body without the blanks and the byte order mark that scripts leave around it.
    ///
    /// # Errors
    /// When it is no text.
    pub(super) fn read(body: Vec<u8>, content_type: Option<&HeaderValue>) -> Result<Self, Fault> {
        let text = String::from_utf8(body).map_err(|_| Fault::Unfit("it is not UTF-8".to_owned()))?;
        let is_around = |letter: char| letter.is_whitespace() || letter == '\u{feff}';
        let trimmed = text.trim_matches(is_around);
        let text = if trimmed.len() == text.len() { text } else { trimmed.to_owned() };
        Ok(Self { text, content_type: content_type.filter(|given| is_harmless(given)).cloned() })
    }

    /// What it says.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it says more than that the push has come.
    pub(crate) fn says_something(&self) -> bool {
        !matches!(self.text.as_str(), "" | "success")
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        let mut response = web::answer(StatusCode::OK, "text/xml; charset=utf-8", answer.text);
        if let Some(content_type) = answer.content_type {
            response.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        response
    }
}

fn is_harmless(content_type: &HeaderValue) -> bool {
    let named = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    TYPES.iter().any(|harmless| named.eq_ignore_ascii_case(harmless))
}

/// Why there is no answer for WeChat.
#[derive(Debug)]
pub(super) enum Fault {
    /// It did not come in this time.
    Late(Duration),
    /// Another status than 200.
    Refused(StatusCode),
    /// The back end cannot be reached, or has hung up.
    Failed(String),
    /// WeChat would show the person a fault.
    Unfit(String),
    /// The back end is left alone, because it has failed.
    Open,
    /// Too many pushes are there already.
    Full,
}

impl Fault {
    /// As metrics call it.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Late(_) => "late",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
            Self::Unfit(_) => "unfit",
            Self::Open => "breaker",
            Self::Full => "dropped",
        }
    }

    /// Whether the same push may well be taken a moment later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Late(_) | Self::Failed(_) | Self::Open | Self::Full => true,
            Self::Refused(status) => status.is_server_error(),
            Self::Unfit(_) => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(given) => write!(f, "it has not answered within {:.1} s", given.as_secs_f32()),
            Self::Refused(status) if status.is_redirection() => {
                write!(
                    f,
                    "it has answered {status}, and redirects are not followed: write the address that they lead to"
                )
            }
            Self::Refused(status)
                if *status == StatusCode::FORBIDDEN || *status == StatusCode::UNAUTHORIZED =>
            {
                write!(
                    f,
                    "it has answered {status}: has it the Token and the EncodingAESKey of the message push settings?"
                )
            }
            Self::Refused(status) => write!(f, "it has answered {status}"),
            Self::Failed(reason) => write!(f, "it cannot be reached: {reason}"),
            Self::Unfit(fault) => write!(f, "WeChat would not take its answer: {fault}"),
            Self::Open => {
                write!(
                    f,
                    "it has failed several times in a row, and is asked again in {} s at most",
                    breaker::OPEN.as_secs()
                )
            }
            Self::Full => f.write_str("too many pushes wait for it already"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_scripts_leave_around_an_answer_is_taken_off_and_nothing_else() {
        for (body, text, says) in [
            ("", "", false),
            ("\r\n", "", false),
            ("success\n", "success", false),
            ("\u{feff}\n<xml>\u{a0} a\n</xml>\n", "<xml>\u{a0} a\n</xml>", true),
            ("SUCCESS", "SUCCESS", true),
        ] {
            let answer = Answer::read(body.into(), None).unwrap();
            assert_eq!((answer.text(), answer.says_something()), (text, says), "{body:?}");
        }
        assert!(matches!(Answer::read(vec![0xff], None), Err(Fault::Unfit(_))));
    }

    #[test]
    fn an_answer_is_never_a_page() {
        for (given, expected) in [
            ("text/xml", "text/xml"),
            ("Application/XML; charset=GBK", "Application/XML; charset=GBK"),
            ("text/plain", "text/plain"),
            ("text/html; charset=UTF-8", "text/xml; charset=utf-8"),
            ("image/svg+xml", "text/xml; charset=utf-8"),
            ("", "text/xml; charset=utf-8"),
        ] {
            let answer = Answer::read(b"<xml/>".to_vec(), Some(&HeaderValue::from_static(given))).unwrap();
            assert_eq!(Response::from(answer).headers()[CONTENT_TYPE], expected, "{given}");
        }
    }
}
