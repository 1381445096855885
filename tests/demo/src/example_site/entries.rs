//! What the issuer is told of the example site: its entries in the file of sites.

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;

/// The site has two entries, to show a login with the question in the chat and one without. A site of yours has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// The one that most people see.
    Usual,
    /// After a scan there is no question.
    Unasked,
}

impl Entry {
    pub(super) const ALL: [Self; 2] = [Self::Usual, Self::Unasked];

    /// The client id.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Usual => "example",
            Self::Unasked => "example-unasked",
        }
    }

    /// What is added to the addresses of a login.
    pub(super) fn query(self) -> &'static str {
        match self {
            Self::Usual => "",
            Self::Unasked => "?confirm=no",
        }
    }

    /// The entry of which a query speaks.
    pub(super) fn of_query(query: &str) -> Self {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        if pairs.any(|(name, value)| name == "confirm" && value == "no") {
            Self::Unasked
        } else {
            Self::Usual
        }
    }

    /// The entry as the issuer reads it. With `id_token_claims` the ID token has the name in it, and the site need
    /// not ask for it at `/userinfo`.
    pub(super) fn text(self, origin: &str, secret: &str) -> String {
        let (id, confirm) = (self.id(), self == Self::Usual);
        let hash = HEXLOWER.encode(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
        format!(
            "[[site]]\n\
             id = \"{id}\"\n\
             name = \"示例网站 Example site\"\n\
             secret_sha256 = \"{hash}\"\n\
             redirect_uris = [\"{origin}/callback\"]\n\
             origins = [\"{origin}\"]\n\
             post_logout_redirect_uris = [\"{origin}/logged-out\"]\n\
             backchannel_logout_uri = \"{origin}/backchannel\"\n\
             id_token_claims = true\n\
             confirm = {confirm}\n"
        )
    }
}
