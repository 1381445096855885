//! Several official accounts in one installation: each logs in its own pages, and whoever has one account's keys can do
//! nothing at another.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use demo::{Options, Stack};
use e2e::page::{Heard, Page};
use e2e::raw::metric;
use simulator::{Client, Person, Simulator, Webview};

async fn stack(names: &[String], callback: &[&str]) -> Stack {
    let callback = callback.iter().map(|&flag| flag.to_owned()).collect();
    Stack::start(Options { others: names.to_vec(), callback, ..Options::default() }).await.unwrap()
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("customer-{number}")).collect()
}

async fn page_of(stack: &Stack, account: &str) -> Page {
    Page::of(None, stack.gateway.browsers, &format!("/ws?account={account}")).await.unwrap()
}

/// The number that a page shows.
async fn number(page: &mut Page) -> String {
    loop {
        if let Some(number) = page.expect("scanned").await["number"].as_str() {
            return number.to_owned();
        }
    }
}

/// Whether a phone was told that somebody is logged in. Only such words say either.
fn is_logged_in(said: &str) -> bool {
    said.contains("登录成功") || said.contains("欢迎回来")
}

async fn scans(wechat: &Simulator, openid: &str, content: &str) -> String {
    let delivery = wechat.scan(openid, content).await.unwrap();
    assert!(delivery.is_ok(), "{delivery:?}");
    delivery.reply.unwrap_or_default()
}

#[tokio::test]
async fn each_of_an_agencys_ten_customers_logs_in_its_own_page_and_none_of_another() {
    let names = names(10);
    let stack = stack(&names, &[]).await;
    let mut pages = Vec::new();
    for name in &names {
        let mut page = page_of(&stack, name).await;
        let code = page.code().await;
        pages.push((page, code));
    }
    for (customer, (_, code)) in pages.iter().enumerate() {
        let next = &stack.others[(customer + 1) % stack.others.len()];
        let stranger = next.invent_person("李雷", true).openid;
        assert!(next.scan(&stranger, &code.content).await.is_err(), "a code is one account's");
    }
    for (customer, (page, code)) in pages.iter_mut().enumerate() {
        let wechat = &stack.others[customer];
        let person = wechat.invent_person("韩梅梅", true).openid;
        assert!(is_logged_in(&scans(wechat, &person, &code.content).await));
        page.expect("scanned").await;
        page.expect("scan_success").await;
    }
    // What names no account is the first's, which is that of the variables.
    let mut page = Page::open(stack.gateway.browsers).await;
    let code = page.code().await;
    let person = stack.wechat.invent_person("Anna", true).openid;
    assert!(is_logged_in(&scans(&stack.wechat, &person, &code.content).await));
    page.expect("scanned").await;
    page.expect("scan_success").await;
    let counted = async |labels: &str| {
        metric(
            stack.callback.admin,
            &format!("callback_scans_total{{told=\"logged_in\",way=\"scan\"{labels}}}"),
        )
        .await
    };
    assert_eq!((counted("").await, counted(",account=\"customer-7\"").await), (1, 1));
    let ready = metric(stack.gateway.admin, "gateway_qr_ready{account=\"customer-7\"}").await;
    let calls = metric(stack.gateway.admin, "gateway_qr_calls_total{account=\"customer-7\"}").await;
    assert!(ready == 8 && calls >= 9, "each account has codes of its own: {ready} {calls}");
}

/// The owner of an account knows its token and key, and can sign whatever they like in its name.
#[tokio::test]
async fn an_accounts_owner_can_log_nobody_in_at_another_ones_page() {
    let names = names(2);
    let stack = stack(&names, &["--callback-confirm=true"]).await;
    let [honest, evil] = &stack.others[..] else { panic!("two accounts") };
    let victim = honest.invent_person("小红", true).openid;
    // The same openid at the other account, where WeChat would never have given it.
    evil.add_person(Person { openid: victim.clone(), follower: true, ..Person::default() });

    // A scan of a login of the honest account is denied.
    let mut page = page_of(&stack, &names[0]).await;
    let scene = page.code().await.scene();
    let forged = evil.push_event(&victim, "SCAN", &scene).await;
    assert!(forged.is_ok() && !is_logged_in(&forged.reply.unwrap_or_default()));
    page.expect("scanned").await;
    page.expect("denied").await;

    // The victim's question waits for the victim's own answer.
    let mut page = page_of(&stack, &names[0]).await;
    let code = page.code().await;
    let question = scans(honest, &victim, &code.content).await;
    assert!(!is_logged_in(&question), "{question}");
    let number = number(&mut page).await;
    for said in [number.as_str(), "0"] {
        let answer = evil.say(&victim, said).await.unwrap();
        assert!(answer.is_ok() && !is_logged_in(&answer.reply.unwrap_or_default()));
    }
    // Nor is anything of the victim's forgotten by it.
    evil.unfollow(&victim).await.unwrap();
    let answer = honest.say(&victim, &number).await.unwrap();
    assert!(is_logged_in(answer.reply.as_deref().unwrap_or_default()), "{answer:?}");
    page.expect("scan_success").await;
}

/// The account of the variables has no name, so the openids of its people stand alone in the store.
#[tokio::test]
async fn an_openid_that_is_made_up_is_nobody_of_another_account() {
    let names = names(1);
    let stack = stack(&names, &["--callback-confirm=true"]).await;
    let honest = &stack.others[0];
    let victim = honest.invent_person("小红", true).openid;
    let made_up = format!("{}/{victim}", honest.settings().app_id);
    stack.wechat.add_person(Person { openid: made_up.clone(), follower: true, ..Person::default() });
    let mut page = page_of(&stack, &names[0]).await;
    let code = page.code().await;
    scans(honest, &victim, &code.content).await;
    let number = number(&mut page).await;
    let answer = stack.wechat.say(&made_up, &number).await.unwrap();
    assert!(answer.is_ok() && !is_logged_in(&answer.reply.unwrap_or_default()));
    stack.wechat.unfollow(&made_up).await.unwrap();
    let answer = honest.say(&victim, &number).await.unwrap();
    assert!(is_logged_in(answer.reply.as_deref().unwrap_or_default()), "{answer:?}");
    page.expect("scan_success").await;
}

#[tokio::test]
async fn a_page_of_an_account_that_is_not_there_is_told_so_and_a_push_finds_no_door() {
    let stack = stack(&names(1), &[]).await;
    for account in ["customer-2", "Customer-1", "%E5%BA%97", "wx0123456789abcdef"] {
        let mut page = page_of(&stack, account).await;
        let said = page.expect("error").await;
        assert_eq!(said["code"], "bad_request", "{said}");
        assert!(matches!(page.hear().await, Heard::Closed(1008)));
    }
    let person = stack.wechat.invent_person("Juan", true).openid;
    for (path, is_there) in
        [("", true), ("/wx0123456789abcdef", true), ("/customer-2", false), ("/customer-1", false)]
    {
        stack.wechat.set_push_url(format!("http://{}/wechat{path}", stack.callback.pushes));
        let attempt = stack.wechat.say(&person, "你好").await.unwrap().attempts.pop().unwrap();
        let expected = match (path, is_there) {
            (_, true) => 200,
            // Another account's door takes no push that it has not signed.
            ("/customer-1", _) => 403,
            _ => 404,
        };
        assert_eq!(attempt.status, Some(expected), "{path}");
    }
}

#[tokio::test]
async fn a_login_inside_wechat_comes_back_to_the_page_of_its_own_account() {
    let callback = vec!["--callback-web-authorization=base".to_owned()];
    let sites = Some(
        "[[site]]\nid = \"a\"\nname = \"A\"\npublic = true\nredirect_uris = [\"https://a.example/cb\"]\n",
    );
    let sites = sites.map(str::to_owned);
    let stack =
        Stack::start(Options { others: names(1), callback, sites, ..Options::default() }).await.unwrap();
    let mut page = page_of(&stack, "customer-1").await;
    let scene = page.code().await.scene();
    let person = stack.others[0].invent_person("Anna", true).openid;
    let mut webview = Webview::of(&stack.others[0], &person, Client::Phone);
    let address = format!("http://{}/login/{scene}/customer-1?back=1", stack.callback.pushes);
    let question = webview.open(&address).await.unwrap();
    let done = webview.press(&question, "1").await.unwrap();
    assert_eq!(done.url, format!("http://{}/?account=customer-1#", stack.gateway.browsers));
    page.expect("scanned").await;
    page.expect("scan_success").await;
}

#[tokio::test]
async fn a_typed_code_is_that_of_its_account_alone() {
    let names = names(2);
    let stack = stack(&names, &[]).await;
    let [own, other] = &stack.others[..] else { panic!("two accounts") };
    let mut page = page_of(&stack, &names[0]).await;
    let shown = page.expect("qrcode_url").await;
    let (code, account) = (shown["typed"].as_str().unwrap(), &shown["account"]);
    assert_eq!(account, &names[0], "the page says to whom it is sent");
    for wechat in [other, &stack.wechat] {
        let person = wechat.invent_person("李雷", true).openid;
        let said = wechat.say(&person, code).await.unwrap().reply.unwrap();
        assert!(said.contains("验证码不对"), "{said}");
    }
    let person = own.invent_person("韩梅梅", true).openid;
    assert!(is_logged_in(&own.say(&person, code).await.unwrap().reply.unwrap()));
    page.expect("scanned").await;
    page.expect("scan_success").await;
}
