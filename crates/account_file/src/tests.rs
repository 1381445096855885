//! What is read of a file of accounts, and how faults are told.

#![allow(clippy::unwrap_used)]

use std::fs;

use secrecy::ExposeSecret;

use super::*;

fn of(text: &str) -> Result<Vec<Entry>, String> {
    let folder = PathBuf::from("/nowhere");
    parse(text, &File { shown: "accounts.toml".to_owned(), folder, takes_printed: false })
}

fn entry(more: &str) -> String {
    format!("[[account]]\nname = \"shop\"\napp_id = \"wx1\"\napp_secret = \"s3cret\"\n{more}\n")
}

#[test]
fn every_key_is_read() {
    let text = entry(
        "token = \"s3tok\"\ntoken_previous = \"s3old\"\naes_key_file = \"shop.key\"\nmode = \"compatible\"\n\
         original_id = \"gh_1\"\ncomponent_app_id = \"wx9\"\nqr_per_day = 9_000\ntitle = \"示例 商店\"\n\
         account_name = \"示例\"\naccount_qr = \"http://weixin.qq.com/r/x\"\nways = [\"scan\", \"typed\"]\nqr = \"web\"",
    ) + &entry("").replace("shop", "other").replace("wx1", "wx2");
    let accounts = of(&text).unwrap();
    let shop = &accounts[0];
    assert_eq!((shop.name(), shop.app_id(), accounts[1].name()), ("shop", "wx1", "other"));
    assert_eq!(shop.secret("token").unwrap().unwrap().expose_secret(), "s3tok");
    assert_eq!(shop.needed("app_secret").unwrap().expose_secret(), "s3cret");
    assert_eq!((shop.number("qr_per_day"), shop.text("title")), (Some(9_000), Some("示例 商店")));
    assert_eq!(shop.list("ways").unwrap(), ["scan", "typed"]);
    assert!(accounts[1].secret("token").unwrap().is_none() && accounts[1].text("title").is_none());
    let debug = format!("{accounts:?}");
    assert!(!debug.contains("s3"), "{debug}");
}

#[test]
fn a_secret_may_be_in_a_file_beside_it_which_is_read_when_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shop.token"), "tok\n").unwrap();
    let path = folder.path().join("accounts.toml");
    let with = |more: &str| {
        fs::write(&path, entry(more)).unwrap();
        read(&path, false).unwrap().remove(0)
    };
    assert_eq!(with("token_file = \"shop.token\"").needed("token").unwrap().expose_secret(), "tok");
    let absent = with("token_file = \"other.token\"").needed("token").unwrap_err().to_string();
    assert!(
        absent.contains("line 5, account 1 (\"shop\"): token_file: ") && absent.contains("other.token"),
        "{absent}"
    );
    let both =
        with("token = \"s3tok\"\ntoken_file = \"shop.token\"").needed("token").unwrap_err().to_string();
    assert!(both.contains("token: write it or token_file, not both") && !both.contains("s3tok"), "{both}");
    let none = with("").needed("token").unwrap_err().to_string();
    assert!(none.starts_with("WECHAT_ACCOUNTS: ") && none.contains("line 1, account 1"), "{none}");
}

#[test]
fn the_demos_secrets_are_for_a_simulated_wechat() {
    let text = entry("token = \"demotokenofthesimulator\"");
    let refused = of(&text).unwrap()[0].secret("token").unwrap_err().to_string();
    assert!(refused.contains("line 5") && refused.contains("is the demo's"), "{refused}");
    let file = File { shown: String::new(), folder: PathBuf::new(), takes_printed: true };
    assert!(parse(&text, &file).unwrap()[0].secret("token").is_ok());
}

#[test]
fn a_fault_is_told_in_one_line_that_names_it_and_shows_no_secret() {
    for (text, say) in [
        (String::new(), "no [[account]]"),
        ("[account]\nname = \"shop\"".to_owned(), "line 1: write one [[account]]"),
        (format!("{}[other]\nx = 1", entry("")), "line 6: write one [[account]]"),
        ("account = [1]".to_owned(), "line 1: write one [[account]]"),
        (entry("token = s3tok"), "line 5: this is no TOML"),
        (
            entry("tokens = \"s3tok\""),
            "line 5, account 1 (\"shop\"): tokens: is no key of an account; there are name, ",
        ),
        (entry("").replace("name = \"shop\"\n", ""), "line 1, account 1 (\"\"): name: up to 64"),
        (entry("").replace("\"shop\"", "\"s/p\""), "line 2, account 1 (\"s/p\"): name: up to 64"),
        (entry("").replace("\"shop\"", "\"..\""), "name: up to 64"),
        (entry("").replace("\"shop\"", "\"wx0123456789abcdef\""), "name: is an appid"),
        (entry("").replace("app_id = \"wx1\"\n", ""), "app_id: is missing"),
        (entry("").replace("\"wx1\"", "1"), "line 3, account 1 (\"shop\"): app_id: write a text"),
        (
            entry("").replace("\"s3cret\"", "\"s3cret \""),
            "line 4, account 1 (\"shop\"): app_secret: has a blank",
        ),
        (entry("").replace("\"s3cret\"", "\"\""), "app_secret: write a text"),
        (entry("token = 53237"), "token: write a text"),
        (entry("qr_per_day = \"9000\""), "qr_per_day: write a number"),
        (entry("qr_per_day = -1"), "qr_per_day: write a number"),
        (entry("ways = \"scan\""), "ways: write a list"),
        (entry("ways = []"), "ways: write a list"),
        (entry("") + &entry(""), "line 7, account 2 (\"shop\"): name: there is another"),
        (
            entry("") + &entry("").replace("shop", "other"),
            "line 8, account 2 (\"other\"): app_id: it is that of \"shop\" as well",
        ),
    ] {
        let problem = of(&text).unwrap_err();
        assert!(problem.contains(say), "{text}\n{problem}");
        assert!(
            !problem.contains('\n') && !problem.contains("s3") && !problem.contains("53237"),
            "{problem}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let problem = read(Path::new("/nowhere/accounts.toml"), false).unwrap_err().to_string();
    assert!(problem.starts_with("WECHAT_ACCOUNTS: /nowhere/accounts.toml: "), "{problem}");
}
