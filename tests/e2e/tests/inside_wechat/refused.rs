//! What strangers, other browsers and a WeChat that refuses get: words, and no login.

use simulator::{Call, Client, Fault, Settings};

use crate::stage::{Stage, shows};

#[tokio::test]
async fn another_browser_than_wechats_is_told_to_open_it_there() {
    let stage = Stage::start("base", &[]).await;
    let (_page, address) = stage.page().await;
    let (_, mut other) = stage.speaking("en", Client::Other);
    let told = other.open(&address).await.unwrap();
    shows(&told, 200, "Please open this in WeChat");
    assert_eq!(told.url, address, "it is sent nowhere");
}

#[tokio::test]
async fn a_page_in_a_frame_goes_nowhere() {
    let stage = Stage::start("base", &[]).await;
    let (_page, address) = stage.page().await;
    let http =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let agent = Client::Phone.user_agent("zh_CN");
    let request = http.get(&address).header("user-agent", &agent).header("sec-fetch-dest", "iframe");
    let answer = request.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["x-frame-options"].as_bytes()),
        (403, &b"DENY"[..])
    );
    assert!(answer.text().await.unwrap().contains("登录页不能嵌在别的网页里"));
}

#[tokio::test]
async fn a_visit_belongs_to_its_browser_and_a_code_is_good_once() {
    let stage = Stage::start("base", &[]).await;
    let (_page, address) = stage.page().await;
    let back = format!("{}/login/back", stage.issuer());
    let (_, mut thief) = stage.somebody();
    let (_, mut person) = stage.somebody();
    // The thief stops before the last step, and sends the person there.
    thief.stop_at = Some(back.clone());
    let stolen = thief.open(&address).await.unwrap().url;
    assert!(stolen.starts_with(&back), "{stolen}");
    shows(&person.open(&stolen).await.unwrap(), 403, "不是在这里打开的");
    person.open(&address).await.unwrap();
    shows(&person.open(&stolen).await.unwrap(), 403, "不是在这里打开的");
    let (code, state) = stolen.split_once("&state=").unwrap();
    for url in
        [back.clone(), format!("{back}?code=c"), format!("{back}?code=c&state=s"), format!("{code}&state=")]
    {
        assert_eq!(person.open(&url).await.unwrap().status, 403, "{url}");
    }
    assert_eq!(person.open(&format!("{stolen}&state={state}")).await.unwrap().status, 400);
    // The visit of one who brings another's code, used or not.
    person.stop_at = Some(back.clone());
    let own = person.open(&address).await.unwrap().url;
    person.stop_at = None;
    let (_, own_state) = own.split_once("&state=").unwrap();
    for wrong in ["invented", code.split_once("code=").unwrap().1] {
        let before = stage.exchanges();
        let answer = person.open(&format!("{back}?code={wrong}&state={own_state}")).await.unwrap();
        assert_eq!(stage.exchanges(), before + 1);
        if wrong == "invented" {
            shows(&answer, 200, "请再试一次");
        }
    }
}

#[tokio::test]
async fn an_answer_comes_from_the_page_itself() {
    let stage = Stage::start("base", &[]).await;
    let (mut page, address) = stage.page().await;
    let (_, mut webview) = stage.somebody();
    let question = webview.open(&address).await.unwrap();
    page.expect("scanned").await;
    let visit = question.body.split("name=\"visit\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |origin: String, body: String| {
        let request = http.post(format!("{}/login/answer", stage.issuer())).header("origin", origin);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let good = format!("visit={visit}&answer=1");
    assert_eq!(post("https://evil.example".to_owned(), good.clone()).await, 403);
    assert_eq!(post("null".to_owned(), good.clone()).await, 403);
    assert_eq!(post(stage.issuer(), good).await, 403, "without the cookie");
    for body in ["", "visit=x&answer=1", &format!("visit={visit}"), &format!("visit={visit}&answer=yes")] {
        assert_eq!(post(stage.issuer(), body.to_owned()).await, 400, "{body}");
    }
    webview.press(&question, "1").await.unwrap();
    page.expect("scan_success").await;
}

#[tokio::test]
async fn a_wechat_that_refuses_or_is_away_is_told_as_that() {
    let stage = Stage::start("base", &[]).await;
    let (mut page, address) = stage.page().await;
    let (_, mut webview) = stage.somebody();
    let switches = stage.stack.wechat.switches();
    switches.fail(Call::WebToken, Fault::errcode(-1));
    let busy = webview.open(&address).await.unwrap();
    shows(&busy, 503, "系统繁忙");
    switches.heal(Call::WebToken);
    // The code was not used, so the same page may be loaded again.
    let question = webview.open(&busy.url).await.unwrap();
    shows(&question, 200, "确认登录");
    webview.press(&question, "1").await.unwrap();
    page.expect("scanned").await;
    page.expect("scan_success").await;
}

#[tokio::test]
async fn a_domain_that_is_not_registered_is_wechats_error() {
    let wechat = Settings { web_domains: vec!["id.example.cn".to_owned()], ..Settings::default() };
    let stage = Stage::with(wechat, "base", &[]).await;
    let (_page, address) = stage.page().await;
    let (_, mut webview) = stage.somebody();
    let told = webview.open(&address).await.unwrap();
    assert!(told.body.contains("10003"), "{}", told.body);
    assert_eq!(stage.exchanges(), 0);
}

#[tokio::test]
async fn an_address_has_only_so_many_pages() {
    let stage = Stage::start("base", &["--callback-address-rate=2"]).await;
    let (_page, address) = stage.page().await;
    let (_, mut webview) = stage.somebody();
    webview.stop_at = Some(stage.stack.wechat.public_url());
    for status in [303, 303, 429] {
        assert_eq!(webview.open(&address).await.unwrap().status, status);
    }
}

#[tokio::test]
async fn wechats_verification_file_is_at_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("MP_verify_aB3.txt");
    std::fs::write(&file, "aB3cD4").unwrap();
    let stage = Stage::start("base", &[&format!("--callback-mp-verify={}", file.display())]).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str| {
        let answer = http.get(format!("{}{path}", stage.issuer())).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(get("/MP_verify_aB3.txt").await, (200, "aB3cD4".to_owned()));
    assert_eq!(get("/MP_verify_aB4.txt").await.0, 404);
}
