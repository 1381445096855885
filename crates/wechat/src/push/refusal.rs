//! Why a push or a URL verification is not believed, or has no effect.
//!
//! The words are for the log. To the sender all refusals of one status look the same, so that a forger learns nothing
//! from trying. No refusal quotes the request, because a stranger or a person in the chat may have written it.
//!
//! A push that has proved its origin ([`Refusal::is_authentic`]) is never answered with an error. WeChat would send it
//! again, show the person a fault, and after several such answers stop all pushes for a minute. Then one person could
//! stop everybody's login by what they type.

/// A request that is not believed, by the first check that it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// More than [`MAX_BODY`](super::MAX_BODY) bytes.
    #[error("the body is larger than {} bytes", super::MAX_BODY)]
    TooLarge,
    /// A parameter comes twice or is longer than any of WeChat's, so it is unclear what was signed.
    #[error("a query parameter is repeated or too long")]
    Query,
    /// `signature` is missing or wrong.
    #[error("the signature is missing or wrong: is WECHAT_TOKEN the token of the message push settings?")]
    Signature,
    /// `timestamp` is not ten digits.
    #[error("the timestamp is not ten digits")]
    Timestamp,
    /// `timestamp` is too far from now.
    #[error("the timestamp is {seconds} s {}: a replay, or this machine's clock is wrong", side(*.ahead))]
    Stale {
        /// How far from now.
        seconds: u64,
        /// Whether it is in the future.
        ahead: bool,
    },
    /// `timestamp` lies before this process started, and the store has forgotten what was sent then.
    #[error(
        "the timestamp is older than this start, and CALLBACK_STORE has no memory of pushes before it: name a file or Redis"
    )]
    BeforeStart,
    /// Not encrypted, at an account in safe or compatible mode.
    #[error(
        "the push is not encrypted: set the message push settings to safe mode, or WECHAT_MODE to what they say"
    )]
    NotEncrypted,
    /// Encrypted, at an account in plaintext mode.
    #[error(
        "the push is encrypted but WECHAT_MODE is plaintext: set it to what the message push settings say"
    )]
    Encrypted,
    /// `msg_signature` is missing or wrong.
    #[error("the msg_signature is missing or wrong")]
    MsgSignature,
    /// `Encrypt` is not standard base64.
    #[error("the encrypted part is not base64")]
    Base64,
    /// The cipher text is not a positive multiple of 32 bytes.
    #[error("the encrypted part has a length that WeChat's cipher does not make")]
    CipherLength,
    /// The padding is wrong, mostly because the key is.
    #[error("the encrypted part has wrong padding: is WECHAT_AES_KEY the key of the message push settings?")]
    Padding,
    /// The length field points outside of the message.
    #[error("the decrypted part has a wrong length field")]
    Length,
    /// Encrypted for another account.
    #[error(
        "the push is for another appid than WECHAT_APP_ID; if a platform (第三方平台) manages the account, set \
         WECHAT_COMPONENT_APP_ID to its appid"
    )]
    AppId,
    /// The message is not UTF-8.
    #[error("the message is not UTF-8")]
    Utf8,
    /// The XML around the encrypted part is not accepted, or does not hold exactly one such part.
    #[error("the envelope is refused as XML: {0}")]
    Envelope(&'static str),
    /// The XML is not accepted: broken, with a DTD, too deep, or of another shape.
    #[error("the message is refused as XML: {0}")]
    Xml(&'static str),
    /// A required field is missing, repeated, too long or of another form.
    #[error("the field {0} is missing, repeated, too long or not what it should be")]
    Field(&'static str),
    /// Addressed to another account.
    #[error("the push is addressed to another account than WECHAT_ORIGINAL_ID")]
    Recipient,
    /// A URL verification without a text to echo.
    #[error("the verification has no echostr")]
    NoEcho,
}

impl Refusal {
    /// Whether the push has proved its origin but cannot be read.
    pub fn is_authentic(self) -> bool {
        self.status() == 200
    }

    /// The HTTP status of the answer: 413 for size, 403 or 400 before the push has proved its origin, 200 after that.
    pub fn status(self) -> u16 {
        match self {
            Self::TooLarge => 413,
            Self::Query
            | Self::Signature
            | Self::Timestamp
            | Self::Stale { .. }
            | Self::BeforeStart
            | Self::NotEncrypted
            | Self::Encrypted
            | Self::MsgSignature => 403,
            Self::Envelope(_) | Self::NoEcho => 400,
            Self::Base64
            | Self::CipherLength
            | Self::Padding
            | Self::Length
            | Self::AppId
            | Self::Utf8
            | Self::Xml(_)
            | Self::Field(_)
            | Self::Recipient => 200,
        }
    }

    /// The check that failed, in one word for logs and metrics.
    pub fn stage(self) -> &'static str {
        match self {
            Self::TooLarge => "size",
            Self::Query => "query",
            Self::Signature => "signature",
            Self::Timestamp | Self::Stale { .. } | Self::BeforeStart => "freshness",
            Self::NotEncrypted | Self::Encrypted => "mode",
            Self::MsgSignature => "msg_signature",
            Self::Base64 => "base64",
            Self::CipherLength => "cipher_length",
            Self::Padding => "padding",
            Self::Length => "length",
            Self::AppId => "appid",
            Self::Utf8 => "utf8",
            Self::Envelope(super::xml::JSON) | Self::Xml(super::xml::JSON) => "json",
            Self::Envelope(_) | Self::Xml(_) => "xml",
            Self::Field(_) | Self::Recipient | Self::NoEcho => "fields",
        }
    }
}

fn side(ahead: bool) -> &'static str {
    if ahead { "ahead" } else { "old" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_timestamp_is_told_in_words() {
        let told = |ahead| Refusal::Stale { seconds: 301, ahead }.to_string();
        assert!(told(true).contains("301 s ahead"), "{}", told(true));
        assert!(told(false).contains("301 s old"), "{}", told(false));
    }
}
