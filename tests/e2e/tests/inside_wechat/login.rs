//! A QR code holds the address of a login in place of a code of WeChat's, and the person's WeChat opens it.

use simulator::{Client, WebFaults};

use crate::stage::{Stage, number_of, shows};

#[tokio::test]
async fn one_tap_logs_the_page_in_and_a_reload_shows_the_same() {
    let stage = Stage::start("base", &[]).await;
    let (mut page, address) = stage.page().await;
    let (_, mut webview) = stage.somebody();
    let question = webview.open(&address).await.unwrap();
    shows(&question, 200, "确认登录");
    assert!(question.body.contains("127.0.*.*") && question.body.contains("不是我"), "{}", question.body);
    let scanned = page.expect("scanned").await;
    assert_eq!(scanned.get("number"), None, "nobody wants a number");
    // Nothing is granted by looking, and a second look asks WeChat nothing.
    let again = webview.open(&question.url).await.unwrap();
    shows(&again, 200, "确认登录");
    assert_eq!(stage.exchanges(), 1);
    let done = webview.press(&again, "1").await.unwrap();
    shows(&done, 200, "登录成功");
    page.expect("scan_success").await;
    for _ in 0..2 {
        shows(&webview.open(&question.url).await.unwrap(), 200, "登录成功");
        shows(&webview.press(&again, "1").await.unwrap(), 200, "登录成功");
    }
    assert_eq!(stage.exchanges(), 1);
    assert_eq!(stage.stack.wechat.counters().web_user_calls, 0, "base asks for the openid alone");
}

#[tokio::test]
async fn a_login_that_is_to_be_confirmed_asks_for_the_number_of_its_page() {
    let stage = Stage::start("base", &["--callback-confirm=true"]).await;
    let (mut page, address) = stage.page().await;
    let (_, mut webview) = stage.speaking("en", Client::Desktop);
    let question = webview.open(&address).await.unwrap();
    shows(&question, 200, "Which number does the login page show?");
    let number = number_of(&mut page).await;
    let offered: Vec<_> = (10..100).filter(|n| question.body.contains(&format!("value=\"{n}\""))).collect();
    assert!(offered.len() == 3 && offered.contains(&number.parse().unwrap()), "{offered:?}");
    let second = webview.open(&question.url).await.unwrap();
    assert_eq!(second.body, question.body, "the choice is the same when it is shown again");
    let done = webview.press(&question, &number).await.unwrap();
    shows(&done, 200, "You are logged in");
    page.expect("scan_success").await;
}

#[tokio::test]
async fn a_wrong_number_ends_the_login_and_so_does_a_no() {
    let stage = Stage::start("base", &["--callback-confirm=true"]).await;
    for is_wrong in [true, false] {
        let (mut page, address) = stage.page().await;
        let (_, mut webview) = stage.somebody();
        let question = webview.open(&address).await.unwrap();
        let number = number_of(&mut page).await;
        let wrong = (10..100).map(|n| n.to_string());
        let mut wrong = wrong.filter(|n| *n != number && question.body.contains(&format!("value=\"{n}\"")));
        let (answer, words) =
            if is_wrong { (wrong.next().unwrap(), "数字不对") } else { ("0".to_owned(), "已拒绝") };
        let done = webview.press(&question, &answer).await.unwrap();
        shows(&done, 200, words);
        page.expect("denied").await;
        // The right one comes too late.
        let late = webview.press(&question, &number).await.unwrap();
        assert!(!late.body.contains("登录成功"), "{}", late.body);
        shows(&webview.open(&question.url).await.unwrap(), 200, "已取消");
    }
}

#[tokio::test]
async fn the_login_page_in_the_same_wechat_is_opened_again_at_the_end() {
    let stage = Stage::start("base", &[]).await;
    let (_page, address) = stage.page().await;
    let (_, mut webview) = stage.somebody();
    let question = webview.open(&format!("{address}?back=1")).await.unwrap();
    let done = webview.press(&question, "1").await.unwrap();
    assert_eq!(done.url, format!("http://{}/#", stage.stack.gateway.browsers));
}

#[tokio::test]
async fn whoever_has_not_seen_the_number_yet_is_sent_back_to_the_page_that_shows_it() {
    let stage = Stage::start("base", &["--callback-confirm=true"]).await;
    let (mut page, address) = stage.page().await;
    let (_, mut webview) = stage.somebody();
    let login_page = format!("http://{}/#", stage.stack.gateway.browsers);
    assert_eq!(webview.open(&format!("{address}?back=1")).await.unwrap().url, login_page);
    let number = number_of(&mut page).await;
    let question = webview.open(&format!("{address}?back=seen")).await.unwrap();
    shows(&question, 200, "登录页上显示的是哪个数字");
    assert!(question.body.contains("回到登录页看数字"), "{}", question.body);
    let done = webview.press(&question, &number).await.unwrap();
    assert_eq!(done.url, login_page);
    page.expect("scan_success").await;
}

#[tokio::test]
async fn a_login_has_one_person_and_an_end() {
    let stage = Stage::start("base", &[]).await;
    let (mut page, address) = stage.page().await;
    let (_, mut first) = stage.somebody();
    let (_, mut second) = stage.somebody();
    let question = first.open(&address).await.unwrap();
    page.expect("scanned").await;
    shows(&second.open(&address).await.unwrap(), 200, "已被使用");
    first.press(&question, "1").await.unwrap();
    page.expect("scan_success").await;
    shows(&second.open(&address).await.unwrap(), 200, "已被使用");
    // A scan of the other code of the same login comes too late, too.
    let nowhere = format!("{}/login/{}", stage.issuer(), protocol::Scene::random());
    shows(&second.open(&nowhere).await.unwrap(), 200, "已过期");
}

#[tokio::test]
async fn who_has_scanned_the_login_answers_in_the_chat() {
    let stage = Stage::start("base", &["--callback-confirm=true"]).await;
    let mut page = e2e::page::Page::open(stage.stack.gateway.browsers).await;
    let code = page.code().await;
    let (openid, mut webview) = stage.somebody();
    stage.stack.wechat.scan(&openid, &code.content).await.unwrap();
    let number = number_of(&mut page).await;
    let address = format!("{}/login/{}", stage.issuer(), code.scene());
    let shown = webview.open(&address).await.unwrap();
    shows(&shown, 200, "请在聊天中回复");
    assert!(!shown.body.contains(&number), "three numbers and three tries would be no confirmation");
    stage.stack.wechat.say(&openid, &number).await.unwrap();
    page.expect("scan_success").await;
    shows(&webview.open(&address).await.unwrap(), 200, "登录成功");
}

/// Where nobody wants a confirmation, a scan logs in although the page inside WeChat still asks.
#[tokio::test]
async fn a_no_after_a_scan_has_logged_in_hears_the_truth() {
    let stage = Stage::start("base", &[]).await;
    let mut page = e2e::page::Page::open(stage.stack.gateway.browsers).await;
    let code = page.code().await;
    let (openid, mut webview) = stage.somebody();
    let question = webview.open(&format!("{}/login/{}", stage.issuer(), code.scene())).await.unwrap();
    shows(&question, 200, "确认登录");
    stage.stack.wechat.scan(&openid, &code.content).await.unwrap();
    page.expect("scanned").await;
    page.expect("scan_success").await;
    let told = webview.press(&question, "0").await.unwrap();
    shows(&told, 200, "已经确认");
    assert!(!told.body.contains("已拒绝"), "{}", told.body);
}

#[tokio::test]
async fn a_persons_name_is_asked_for_after_a_tap_and_reaches_the_page() {
    let stage = Stage::start("userinfo", &[]).await;
    let (mut page, address) = stage.page().await;
    let (openid, mut webview) = stage.somebody();
    let tap = webview.open(&address).await.unwrap();
    shows(&tap, 200, "微信会询问");
    let asked = webview.follow(&tap, "go").await.unwrap();
    assert!(asked.body.contains("申请获取你的昵称"), "{}", asked.body);
    let refused = webview.press(&asked, "refuse").await.unwrap();
    shows(&refused, 200, "你没有允许微信授权");
    let asked = webview.follow(&refused, "again").await.unwrap();
    let question = webview.press(&asked, "allow").await.unwrap();
    shows(&question, 200, "确认登录");
    page.expect("scanned").await;
    webview.press(&question, "1").await.unwrap();
    let name = stage.stack.wechat.person(&openid).unwrap().nickname;
    assert_eq!(page.expect("scan_success").await["user"], name.as_str());
}

#[tokio::test]
async fn a_snapshot_logs_nobody_in_until_the_full_service_is_used() {
    let stage = Stage::start("base", &[]).await;
    let (mut page, address) = stage.page().await;
    let (_, mut webview) = stage.somebody();
    stage.stack.wechat.switches().set_web(WebFaults { snapshot: true, ..WebFaults::default() });
    let snapshot = webview.open(&address).await.unwrap();
    shows(&snapshot, 200, "使用完整服务");
    stage.stack.wechat.switches().set_web(WebFaults::default());
    let question = webview.follow(&snapshot, "again").await.unwrap();
    shows(&question, 200, "确认登录");
    webview.press(&question, "1").await.unwrap();
    page.expect("scanned").await;
    page.expect("scan_success").await;
}
