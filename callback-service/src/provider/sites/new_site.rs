//! `callback-service new-site NAME`: an entry for the file of sites, its secret, and what a client is told.

use data_encoding::HEXLOWER;

use crate::provider::token::{Token, sha256_bytes};

/// What the command prints for a site of this name. The secret is shown here and nowhere else: the entry has its hash.
///
/// # Errors
/// When the name is empty or too long, or the id is none.
pub(crate) fn new_site(name: &str, id: Option<&str>, issuer: Option<&str>) -> Result<String, String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Err("NAME: what people call the site, up to 64 characters".to_owned());
    }
    let letters = name.chars().filter(char::is_ascii_alphanumeric).take(20).collect::<String>();
    let random = Token::random().reveal().replace(['-', '_'], "").to_ascii_lowercase();
    let made = match letters.is_empty() {
        true => format!("site-{}", random.get(..8).unwrap_or_default()),
        false => format!("{}-{}", letters.to_ascii_lowercase(), random.get(..8).unwrap_or_default()),
    };
    let id = id.map_or(made, str::to_owned);
    let secret = Token::random();
    let (secret, hash) = (secret.reveal(), HEXLOWER.encode(&sha256_bytes(secret.reveal().as_bytes())));
    let issuer = issuer.unwrap_or("https://id.example.cn");
    // A text of JSON is one of TOML as well.
    let quoted = serde_json::Value::from(name);
    let printed = format!(
        "# Put this into the file that CALLBACK_SITES names, with the site's own addresses. Then send SIGHUP.\n\
         [[site]]\n\
         id = \"{id}\"\n\
         name = {quoted}\n\
         secret_sha256 = \"{hash}\"\n\
         redirect_uris = [\"https://www.example.cn/callback\"]\n\
         post_logout_redirect_uris = [\"https://www.example.cn/\"]\n\
         \n\
         # Give this to the site's client. The secret is shown only once; the entry above has its hash.\n\
         # issuer:        {issuer}\n\
         # discovery:     {issuer}/.well-known/openid-configuration\n\
         # client id:     {id}\n\
         # client secret: {secret}\n\
         # scopes:        openid profile\n"
    );
    // Whatever is wrong with an id is told as the file's reader tells it.
    super::file::parse(&printed).map(|_| printed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::provider::sites::file;

    #[test]
    fn what_is_printed_is_a_good_file_for_the_secret_that_is_shown() {
        for name in ["示例商店", "My \"Shop\"", "a\\b"] {
            let printed = new_site(name, None, None).unwrap();
            let sites = file::parse(&printed).unwrap();
            let (_, secret) = printed.split_once("# client secret: ").unwrap();
            let secret = secret.lines().next().unwrap();
            assert!(sites[0].has_secret(secret), "{printed}");
            assert_eq!(sites[0].name, name);
            let is_unreserved = |c: char| c.is_ascii_alphanumeric() || "._~-".contains(c);
            assert!(secret.len() >= 43 && secret.chars().all(is_unreserved), "{secret}");
            assert_ne!(new_site(name, None, None).unwrap(), printed, "nobody has the same secret");
        }
        assert!(new_site(" ", None, None).is_err());
        assert!(new_site("shop", Some("my-shop"), None).unwrap().contains("id = \"my-shop\"\n"));
        assert!(new_site("shop", Some("my shop"), None).unwrap_err().contains("id: "));
        assert!(
            new_site("shop", None, Some("https://id.shop.cn"))
                .unwrap()
                .contains("https://id.shop.cn/.well-known")
        );
    }
}
