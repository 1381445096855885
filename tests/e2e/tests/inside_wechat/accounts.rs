//! Several official accounts: a login's address names its account, whose web authorization says who looks.

use demo::{Options, Stack};
use e2e::page::Page;
use simulator::{Client, Person, Webview};

use crate::stage::{Stage, shows};

/// A follower of the account, and their WeChat.
fn somebody(wechat: &simulator::Simulator) -> Webview {
    let openid = wechat.add_person(Person { language: "zh_CN".to_owned(), ..Person::default() }).openid;
    Webview::of(wechat, &openid, Client::Phone)
}

#[tokio::test]
async fn a_login_is_opened_by_its_own_account_and_by_no_other() {
    let stage = Stage::of_accounts(&["tea", "rice"]).await;
    let open = async || {
        let path = "/ws?account=tea";
        let mut page = Page::of(None, stage.stack.gateway.browsers, path).await.unwrap();
        let scene = page.code().await.scene();
        (page, format!("{}/login/{scene}", stage.issuer()))
    };
    let [tea, rice] = &stage.stack.others[..] else { panic!("two accounts") };
    let (mut page, address) = open().await;
    let mut webview = somebody(tea);
    shows(&webview.open(&format!("{address}/gone")).await.unwrap(), 404, "");
    let question = webview.open(&format!("{address}/tea")).await.unwrap();
    shows(&question, 200, "确认登录");
    page.expect("scanned").await;
    shows(&webview.press(&question, "1").await.unwrap(), 200, "登录成功");
    page.expect("scan_success").await;

    // Whoever takes the name off the address, or puts another one there, logs nobody in.
    for (wechat, behind) in [(&stage.stack.wechat, ""), (rice, "/rice")] {
        let (mut page, address) = open().await;
        let said = somebody(wechat).open(&format!("{address}{behind}")).await.unwrap();
        assert!(!said.body.contains("确认登录") && !said.body.contains("登录成功"), "{}", said.body);
        page.expect("scanned").await;
        page.expect("denied").await;
    }
}

/// Web authorization is switched on for all accounts at once, and not every account may use it.
#[tokio::test]
async fn an_account_whose_ways_leave_wechat_out_asks_nobody_inside_it() {
    let entry = "[[site]]\nid = \"tea\"\nname = \"Tea\"\npublic = true\nredirect_uris = [\"https://tea.example/cb\"]\n\
                 account = \"tea\"\n";
    let options = Options {
        others: vec!["tea".to_owned()],
        other_keys: "ways = [\"scan\", \"typed\"]".to_owned(),
        callback: vec!["--callback-web-authorization=base".to_owned()],
        sites: Some(entry.to_owned()),
        ..Options::default()
    };
    let stage = Stage { stack: Stack::start(options).await.unwrap() };
    let mut webview = somebody(&stage.stack.others[0]);
    let page = webview
        .open(&format!(
            "{}/authorize?client_id=tea&redirect_uri=https%3A%2F%2Ftea.example%2Fcb&response_type=code&scope=openid\
             &code_challenge={}&code_challenge_method=S256",
            stage.issuer(),
            "a".repeat(43)
        ))
        .await
        .unwrap();
    assert!(page.status == 200 && page.body.contains("data-request="), "{page:?}");
    let login = format!("{}/login/{}/tea", stage.issuer(), protocol::Scene::random());
    shows(&webview.open(&login).await.unwrap(), 404, "");
}
