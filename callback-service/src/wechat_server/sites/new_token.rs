//! `callback-service new-token NAME`: an entry for the file of sites that ask by wechat-server's protocol, and its token.

use data_encoding::HEXLOWER;

use crate::provider::token::{Token, sha256_bytes};

/// What the command prints for a site of this name. The token is shown here and nowhere else: the entry has its hash.
///
/// # Errors
/// When the name is none.
pub(crate) fn new_token(name: &str) -> Result<String, String> {
    let token = Token::random();
    let hash = HEXLOWER.encode(&sha256_bytes(token.reveal().as_bytes()));
    // A text of JSON is one of TOML as well.
    let quoted = serde_json::Value::from(name.trim());
    let printed = format!(
        "# Put this into the file that CALLBACK_WECHAT_SERVER names. Then send SIGHUP.\n\
         [[site]]\n\
         name = {quoted}\n\
         token_sha256 = \"{hash}\"\n\
         \n\
         # Give this to the site: WeChatServerToken. It is shown only once; the entry above has its hash.\n\
         # token: {}\n",
        token.reveal()
    );
    // Whatever is wrong with a name is told as the file's reader tells it.
    super::file::parse(&printed).map(|_| printed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::wechat_server::sites::{file, with_token};

    #[test]
    fn what_is_printed_is_a_good_file_for_the_token_that_is_shown() {
        for name in ["new-api", "AI \"网关\"", "a\\b"] {
            let printed = new_token(name).unwrap();
            let sites = file::parse(&printed).unwrap();
            let token = printed.split_once("# token: ").unwrap().1.trim();
            assert_eq!(with_token(&sites, token).unwrap().name, name);
            assert!(with_token(&sites, &format!("{token}x")).is_none());
            assert!(token.len() >= 43, "256 bits");
            assert_ne!(new_token(name).unwrap(), printed, "nobody has the same token");
        }
        assert!(new_token(" ").unwrap_err().contains("name: "));
    }
}
