//! What WeChat still tells about a person. A login works without it.
//!
//! `GET /cgi-bin/user/info`. WeChat stopped giving names and pictures on 27 December 2021, but older accounts
//! and simulators may give a name that a stranger has typed. [`clean`] makes it safe to show to other people.

use serde::{Deserialize, Serialize};

use super::call::USER;
use super::meter::Free;
use super::{Client, Error};

/// The longest nickname that is used, in characters. WeChat's own limit is about 30; the rest allows for
/// changes.
pub const MAX_NICKNAME: usize = 64;

/// Bytes of an avatar's address. A longer one is none of WeChat's.
const MAX_PICTURE: usize = 512;

/// What WeChat tells about a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// The name to show, one clean line of at most [`MAX_NICKNAME`] characters. It is mostly missing.
    pub nickname: Option<String>,
    /// Where the avatar is, by https. WeChat has given none with a scan since 2021.
    pub picture: Option<String>,
    /// An id of the person that is the same in all accounts of one Open Platform owner, if this account is
    /// bound to one.
    pub unionid: Option<String>,
    /// The language of the person's WeChat, such as `zh_CN` or `en`.
    pub language: Option<String>,
    /// Whether the person follows the account. If not, WeChat tells nothing else.
    pub subscribed: bool,
}

impl User {
    /// What was known of the same person before, and in place of it what is known now.
    #[must_use]
    pub fn over(self, before: Option<Self>) -> Self {
        let before = before.unwrap_or_default();
        Self {
            nickname: self.nickname.or(before.nickname),
            picture: self.picture.or(before.picture),
            unionid: self.unionid.or(before.unionid),
            language: self.language.or(before.language),
            subscribed: self.subscribed || before.subscribed,
        }
    }
}

impl Client {
    /// Asks WeChat about the person of an openid of this account.
    ///
    /// # Errors
    /// Any [`Error`]; while the breaker is open, the refusal that opened it. Callers should then do without the
    /// name.
    pub async fn user(&self, openid: &str) -> Result<User, Error> {
        let response: Response = self
            .call(&self.breakers.user, &Free, |api, token| {
                api.get(USER).query(&[
                    ("access_token", token.expose()),
                    ("openid", openid),
                    ("lang", "zh_CN"),
                ])
            })
            .await?;
        Ok(User {
            nickname: response.nickname.as_deref().and_then(clean),
            picture: response.headimgurl.filter(|url| is_picture(url)),
            unionid: response.unionid.filter(|unionid| !unionid.is_empty()),
            language: response.language.filter(|language| !language.is_empty()),
            subscribed: response.subscribe == 1,
        })
    }
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    subscribe: i64,
    nickname: Option<String>,
    unionid: Option<String>,
    headimgurl: Option<String>,
    language: Option<String>,
}

/// Whether an address can be an avatar's.
pub(super) fn is_picture(url: &str) -> bool {
    url.starts_with("https://") && url.len() <= MAX_PICTURE
}

/// Makes one line, without control characters and without characters that change the direction of the text
/// around it.
pub(super) fn clean(nickname: &str) -> Option<String> {
    let visible: String = nickname.chars().filter(|&c| !c.is_control() && !is_disruptive(c)).collect();
    let cut: String = visible.trim().chars().take(MAX_NICKNAME).collect();
    let cut = cut.trim_end();
    (!cut.is_empty()).then(|| cut.to_owned())
}

/// Bidirectional embeddings, overrides and isolates (Unicode annex 9), and the two line breaks that are not
/// control characters.
fn is_disruptive(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_as_people_write_them() {
        for name in ["阿🐼狸", "👩‍💻", "<b>\"x\"</b> ]]>", "O'Neil"] {
            assert_eq!(clean(name).as_deref(), Some(name));
        }
    }

    #[test]
    fn what_disturbs_other_text_is_dropped() {
        assert_eq!(clean(" a\u{202E}b\u{2066}c\n\u{0}d\u{2028} ").as_deref(), Some("abcd"));
    }

    #[test]
    fn a_name_of_nothing_is_none() {
        for name in ["", "  ", "\u{202E}\n\u{7f}"] {
            assert_eq!(clean(name), None, "{name:?}");
        }
    }

    #[test]
    fn long_names_are_cut_by_characters_and_stay_trimmed() {
        assert_eq!(clean(&"狸".repeat(100)), Some("狸".repeat(MAX_NICKNAME)));
        assert_eq!(clean(&format!("{} b", "a".repeat(63))), Some("a".repeat(63)));
    }
}
