//! What becomes of logins inside WeChat is in the audit once.

use e2e::journal::{entries, words};

use crate::site::{authorize, redeemed};
use crate::stage::{Stage, number_of};

#[tokio::test]
async fn a_tap_a_choice_and_a_request_each_have_one_entry() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, confirmed) in [("--callback-confirm=false", "tap"), ("--callback-confirm=true", "choice")] {
        let file = folder.path().join(confirmed);
        let store = format!("--callback-store=sqlite:{}", file.display());
        let stage = Stage::start("base", &[flag, &store]).await;
        let (mut page, address) = stage.page().await;
        let (openid, mut webview) = stage.somebody();
        let question = webview.open(&address).await.unwrap();
        let answer = if confirmed == "tap" { "1".to_owned() } else { number_of(&mut page).await };
        for _ in 0..2 {
            webview.press(&question, &answer).await.unwrap();
            webview.open(&question.url).await.unwrap();
        }
        let members = ["outcome", "way", "confirmed", "person", "address"];
        assert_eq!(words(&file, &members), [format!("granted wechat {confirmed} {openid} 127.0.0.1")]);
        if confirmed == "choice" {
            continue;
        }
        let answer = webview.open(&authorize(&stage, "quick", "")).await.unwrap();
        redeemed(&stage, "quick", &answer.url).await;
        let members = ["outcome", "site", "way", "confirmed", "person"];
        let expected =
            [format!("granted quick wechat same_browser {openid}"), format!("redeemed quick - - {openid}")];
        assert_eq!(words(&file, &members)[1..], expected);
        let agent = entries(&file)[1]["user_agent"].as_str().unwrap().to_owned();
        assert!(agent.contains("MicroMessenger"), "{agent}");
    }
}
