//! The words that go back to the phone, in WeChat's XML (page "Passive user reply message").
//!
//! The content may hold what a stranger typed, such as a nickname. So it goes into CDATA whose end cannot be forged.
//! Characters that XML forbids are dropped, because WeChat would refuse the whole answer for one of them.

use super::cipher::RANDOM;
use super::xml::is_xml;

/// The longest content of a text reply, in bytes. For a longer one the phone shows an error.
pub const MAX_CONTENT: usize = 2047;

/// A text reply from the account to the person who caused it.
///
/// `to` is the person's openid and `from` the account's original id, the reverse of the push. The content must not be
/// empty. A content of more than [`MAX_CONTENT`] bytes is cut between two characters.
pub fn text(to: &str, from: &str, created_at: i64, content: &str) -> String {
    let mut content: String = content.chars().filter(|&c| is_xml(c)).collect();
    let fits =
        content.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|&end| end <= MAX_CONTENT).last();
    content.truncate(fits.unwrap_or_default());
    let content = format!("<Content>{}</Content>", cdata(&content));
    reply(to, from, created_at, "text", &content)
}

/// The reply that hands a person's message to the account's customer service. The person does not see it.
pub fn to_customer_service(to: &str, from: &str, created_at: i64) -> String {
    reply(to, from, created_at, "transfer_customer_service", "")
}

fn reply(to: &str, from: &str, created_at: i64, kind: &str, more: &str) -> String {
    format!(
        "<xml><ToUserName>{}</ToUserName><FromUserName>{}</FromUserName><CreateTime>{created_at}</CreateTime>\
         <MsgType><![CDATA[{kind}]]></MsgType>{more}</xml>",
        cdata(to),
        cdata(from)
    )
}

/// An event as WeChat pushes it, for a rehearsal.
pub(super) fn event(to: &str, from: &str, created_at: u64, event: &str, key: &str) -> String {
    format!(
        "<xml><ToUserName>{}</ToUserName><FromUserName>{}</FromUserName><CreateTime>{created_at}</CreateTime>\
         <MsgType><![CDATA[event]]></MsgType><Event>{}</Event><EventKey>{}</EventKey></xml>",
        cdata(to),
        cdata(from),
        cdata(event),
        cdata(key)
    )
}

/// The random and the changing parts of a sealed reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salt {
    /// The beginning of the encrypted frame.
    pub random: [u8; RANDOM],
    /// Unix seconds.
    pub timestamp: u64,
    /// Decimal digits.
    pub nonce: String,
}

impl Salt {
    /// Fresh randomness for a reply sealed at `now`, in Unix seconds.
    ///
    /// # Panics
    /// When the system gives no random bytes.
    pub fn fresh(now: u64) -> Self {
        let (mut random, mut nonce) = ([0; RANDOM], [0; 4]);
        // Asked for at once, because asking costs more than what comes.
        let mut bytes = [0; RANDOM + 4];
        aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random bytes");
        let (first, rest) = bytes.split_at(RANDOM);
        random.copy_from_slice(first);
        nonce.copy_from_slice(rest);
        Self { random, timestamp: now, nonce: u32::from_be_bytes(nonce).to_string() }
    }
}

/// The envelope around an encrypted reply.
pub(super) fn envelope(encrypt: &str, signature: &str, salt: &Salt) -> String {
    let Salt { timestamp, nonce, .. } = salt;
    format!(
        "<xml>\n<Encrypt><![CDATA[{encrypt}]]></Encrypt>\n<MsgSignature><![CDATA[{signature}]]></MsgSignature>\n\
         <TimeStamp>{timestamp}</TimeStamp>\n<Nonce><![CDATA[{nonce}]]></Nonce>\n</xml>"
    )
}

/// Text in CDATA. An end mark inside it is divided between two sections.
fn cdata(text: &str) -> String {
    format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::push::xml::Fields;

    fn content_of(reply: &str) -> String {
        Fields::parse(reply.as_bytes()).unwrap().get("Content").unwrap().unwrap()
    }

    #[test]
    fn a_message_is_handed_over_in_wechats_words() {
        assert_eq!(
            to_customer_service("o", "g", 7),
            "<xml><ToUserName><![CDATA[o]]></ToUserName><FromUserName><![CDATA[g]]></FromUserName>\
             <CreateTime>7</CreateTime><MsgType><![CDATA[transfer_customer_service]]></MsgType></xml>"
        );
    }

    #[test]
    fn hostile_words_arrive_as_words() {
        for words in ["]]>", "a]]]]>>b", "<a href=\"x\">&amp;'", "阿🐼狸\n]]", "<![CDATA[x"] {
            let reply = text("o]]>1", "gh_1", 7, words);
            assert_eq!(content_of(&reply), words);
            assert_eq!(Fields::parse(reply.as_bytes()).unwrap().get("ToUserName").unwrap().unwrap(), "o]]>1");
        }
    }

    #[test]
    fn what_xml_does_not_know_is_dropped() {
        assert_eq!(content_of(&text("o", "g", 7, "a\0b\u{1b}c\u{FFFE}d\te\n")), "abcd\te\n");
    }

    #[test]
    fn dropping_cannot_forge_an_end_mark() {
        assert_eq!(content_of(&text("o", "g", 7, "x]]\0>y")), "x]]>y");
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let content = content_of(&text("o", "g", 7, &"狸".repeat(1000)));
        assert_eq!(content, "狸".repeat(MAX_CONTENT / 3));
        assert_eq!(content_of(&text("o", "g", 7, &"]]>".repeat(1000))).len(), MAX_CONTENT);
    }

    #[test]
    fn two_salts_differ_and_the_nonce_is_digits() {
        let (one, two) = (Salt::fresh(7), Salt::fresh(7));
        assert_ne!(one.random, two.random);
        assert!(one.nonce.bytes().all(|byte| byte.is_ascii_digit()), "{}", one.nonce);
    }

    fn words() -> impl Strategy<Value = String> {
        let markup = prop::sample::select(vec!['[', ']', '<', '>', '&', '!', '狸']);
        // XML itself turns a carriage return into a line feed.
        let char = prop_oneof![any::<char>(), markup].prop_filter("line end", |&c| c != '\r');
        prop::collection::vec(char, 0..2 * MAX_CONTENT).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn any_words_arrive_as_far_as_they_fit(words in words()) {
            let content = content_of(&text("o", "g", 7, &words));
            let known: String = words.chars().filter(|&c| is_xml(c)).collect();
            prop_assert!(known.starts_with(&content), "{content:?}");
            let is_full = (MAX_CONTENT - 3..=MAX_CONTENT).contains(&content.len());
            prop_assert!(content.len() == known.len() || is_full, "{} bytes", content.len());
        }
    }
}
