//! A scan is not consent: the person is told in the chat what they log in to, and types the number that the page shows.

use std::collections::HashSet;

use e2e::page::{Heard, Page};
use futures_util::future::join_all;
use serde_json::Value;

use crate::agent::Agent;
use crate::backchannel::BackEnd;
use crate::parameters::Parameters;
use crate::provider::{Provider, Running, Setup, code_of};
use crate::relying_party::{Site, came_back, came_back_with, pkce};

const ORIGIN: &str = "https://shop.example.cn";

/// The shop, whose people confirm, and the café, whose people need not.
async fn confirming(shop: Site) -> Running {
    let sites = vec![shop, Site::cafe(), Site::app()];
    Running::with(Setup { sites, ..Setup::default() }).await
}

fn shop() -> Site {
    Site::shop().and("confirm = true")
}

/// A login that waits for its person's number.
pub(crate) struct Asked {
    pub(crate) page: Page,
    /// What the page shows.
    pub(crate) number: String,
    /// The resume key of the page.
    resume: String,
    /// The scanned code.
    pub(crate) content: String,
    /// What the account asked.
    question: String,
}

impl Asked {
    /// A person scans the code of a page, and is asked.
    pub(crate) async fn of(provider: &Provider, mut page: Page, person: &str) -> Self {
        let shown = page.code().await;
        let question = reply(provider.wechat.scan(person, &shown.content).await.unwrap().reply);
        let scanned = page.expect("scanned").await;
        // The number may come with the scan or after it.
        let scanned = match scanned.get("number") {
            Some(_) => scanned,
            None => page.expect("scanned").await,
        };
        let number = scanned["number"].as_str().unwrap().to_owned();
        Self { page, number, resume: shown.resume, content: shown.content, question }
    }

    /// The login's scene.
    pub(crate) fn scene(&self) -> String {
        self.resume.split('.').next().unwrap().to_owned()
    }

    /// A number that it is not.
    pub(crate) fn wrong(&self) -> &'static str {
        if self.number == "11" { "12" } else { "11" }
    }
}

fn reply(reply: Option<String>) -> String {
    reply.expect("the account replies")
}

/// What the account replies to a text.
pub(crate) async fn says(provider: &Provider, person: &str, text: &str) -> String {
    reply(provider.wechat.say(person, text).await.unwrap().reply)
}

/// A page of the shop itself, and its verifier.
async fn widget(provider: &Provider) -> (Page, String) {
    let (verifier, challenge) = pkce();
    let query =
        Parameters::of(&[("site", "shop"), ("nonce", "n-widget"), ("code_challenge", &challenge)]).encoded();
    let page = Page::of(Some(ORIGIN), provider.gateway, &format!("/ws?{query}")).await;
    (page.expect("the shop's page may connect"), verifier)
}

#[tokio::test]
async fn by_redirect_no_code_exists_before_the_right_number() {
    let (provider, shop) = (confirming(shop()).await, shop());
    let (mut agent, person) = (Agent::new(&provider), provider.person());
    let request = shop.request();
    let handle = agent.authorize(&request).await.handle();
    let mut asked = Asked::of(&provider, provider.page(&handle).await, &person).await;
    for part in ["示例商店", "127.0.*.*", "回复 0"] {
        assert!(asked.question.contains(part), "{part} is not in {}", asked.question);
    }
    let again = says(&provider, &person, asked.wrong()).await;
    assert!(again.contains('2'), "{again}");
    // A page that comes back finds its number, and still no code.
    let protocols = ["saoma.v1", &format!("resume.{}", asked.resume)];
    let path = format!("/ws?request={handle}");
    let back = Page::offer_of(Some(&provider.issuer), provider.gateway, &path, &protocols).await.unwrap();
    asked.page = back;
    asked.page.code().await;
    assert_eq!(asked.page.expect("scanned").await["number"], asked.number.as_str());

    // 47 as a phone's keyboard may give it.
    let typed: String =
        asked.number.chars().map(|digit| char::from_u32(u32::from(digit) + 0xfee0).unwrap()).collect();
    let words = says(&provider, &person, &typed).await;
    assert!(words.contains("欢迎回来"), "{words}");
    let code = code_of(&asked.page.expect("scan_success").await);
    let answer = agent.go_on(&handle, &code).await;
    let code = came_back(&provider, &request, &answer);
    let tokens = shop.take(&provider, &request, &shop.redeem(&provider, &shop.grant(&code)).await).await;
    assert_eq!(tokens.claims["acr"], "urn:saoma:scan-confirmed");
    assert_eq!(tokens.claims["sub"], person.as_str());
    assert_eq!(says(&provider, &person, &asked.number).await, words, "typed twice");
}

#[tokio::test]
async fn in_a_page_of_the_site_too() {
    let (provider, shop) = (confirming(shop()).await, shop());
    let person = provider.person();
    let (page, verifier) = widget(&provider).await;
    let mut asked = Asked::of(&provider, page, &person).await;
    says(&provider, &person, &asked.number).await;
    let code = code_of(&asked.page.expect("scan_success").await);
    let grant = Parameters::of(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("code_verifier", &verifier),
    ]);
    let answer = shop.redeem(&provider, &grant).await;
    let claims = shop.verify(&provider, Some("n-widget"), answer.json()["id_token"].as_str().unwrap()).await;
    assert_eq!(claims.unwrap()["acr"], "urn:saoma:scan-confirmed");
}

/// Whoever has sent the page's code has read the page, so that 1 is enough. The site hears that it was confirmed.
#[tokio::test]
async fn by_a_typed_code_1_confirms_what_the_site_wants_confirmed() {
    let (sites, gateway) = (vec![shop()], vec!["--gateway-ways=scan,typed".to_owned()]);
    let provider = Running::with(Setup { sites, gateway, ..Setup::default() }).await;
    let (mut agent, person, shop) = (Agent::new(&provider), provider.person(), shop());
    let request = shop.request();
    let handle = agent.authorize(&request).await.handle();
    let mut page = provider.page(&handle).await;
    let code = page.expect("qrcode_url").await["typed"].as_str().unwrap().to_owned();
    let question = says(&provider, &person, &code).await;
    for part in ["「示例商店」", "127.0.*.*", "回复 1 ", "回复 0"] {
        assert!(question.contains(part), "{part} is not in {question}");
    }
    let words = says(&provider, &person, "1").await;
    assert!(words.contains("欢迎回来"), "{words}");
    let granted = loop {
        match page.hear().await {
            Heard::Message(said) if said["message_type"] == "scanned" => {}
            Heard::Message(said) => break said,
            Heard::Closed(code) => panic!("{code}"),
        }
    };
    let answer = agent.go_on(&handle, &code_of(&granted)).await;
    let code = came_back(&provider, &request, &answer);
    let tokens = shop.take(&provider, &request, &shop.redeem(&provider, &shop.grant(&code)).await).await;
    assert_eq!(tokens.claims["acr"], "urn:saoma:scan-confirmed");
    assert_eq!(tokens.claims["sub"], person.as_str());
}

/// Whoever gets somebody to scan a forwarded picture of a code gets nothing by it.
#[tokio::test]
async fn a_forwarded_code_grants_nothing_to_its_sender() {
    let mut back_end = BackEnd::start(&[200]).await;
    let site = shop()
        .and(&format!("webhook_url = \"{}/hook\"", back_end.url))
        .and("webhook_key = \"0123456789abcdef0123456789abcdef\"");
    let provider = confirming(site).await;

    // Somebody who says that it was not them.
    let victim = provider.person();
    let mut asked = Asked::of(&provider, widget(&provider).await.0, &victim).await;
    let words = says(&provider, &victim, "0").await;
    assert!(words.contains("没有人登录"), "{words}");
    asked.page.expect("denied").await;
    let hook: Value = serde_json::from_str(&back_end.next().await.body).unwrap();
    assert_eq!((&hook["type"], &hook["sub"]), (&"denial".into(), &victim.as_str().into()), "{hook}");
    assert_eq!((&hook["reason"], &hook["site"]), (&"not_me".into(), &"shop".into()), "{hook}");
    // Whatever they type now.
    assert_eq!(says(&provider, &victim, &asked.number).await, words);

    // Somebody who guesses.
    let victim = provider.person();
    let mut asked = Asked::of(&provider, widget(&provider).await.0, &victim).await;
    for _ in 0..3 {
        says(&provider, &victim, asked.wrong()).await;
    }
    asked.page.expect("denied").await;
    let hook: Value = serde_json::from_str(&back_end.next().await.body).unwrap();
    assert_eq!(hook["reason"], "wrong_number", "{hook}");

    // Somebody who does nothing, and whose code a second person scans.
    let (victim, second) = (provider.person(), provider.person());
    let asked = Asked::of(&provider, widget(&provider).await.0, &victim).await;
    let words = reply(provider.wechat.scan(&second, &asked.content).await.unwrap().reply);
    assert!(words.contains("已经被使用过"), "{words}");
    let words = says(&provider, &second, &asked.number).await;
    assert!(words.contains("扫一扫"), "nothing is asked of them: {words}");
    let mut page = asked.page;
    let quiet = tokio::time::timeout(std::time::Duration::from_millis(500), page.hear()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    back_end.hears_nothing().await;
}

#[tokio::test]
async fn a_session_by_a_mere_scan_is_not_enough_for_a_site_whose_people_confirm() {
    let (provider, shop, cafe) = (confirming(shop()).await, shop(), Site::cafe());
    let (mut agent, person) = (Agent::new(&provider), provider.person());
    let tokens = cafe.log_in(&mut agent, &cafe.request(), &person).await;
    assert_eq!(tokens.claims["acr"], "urn:saoma:scan");
    let silent = shop.request().with("prompt", "none");
    came_back_with(&provider, &silent, &agent.authorize(&silent).await, "login_required");

    let request = shop.request();
    let handle = agent.authorize(&request).await.handle();
    let mut asked = Asked::of(&provider, provider.page(&handle).await, &person).await;
    says(&provider, &person, &asked.number).await;
    let code = code_of(&asked.page.expect("scan_success").await);
    came_back(&provider, &request, &agent.go_on(&handle, &code).await);
    // This one does for both.
    for site in [&shop, &cafe] {
        let silent = site.request().with("prompt", "none");
        let tokens = site.finish(&provider, &silent, &agent.authorize(&silent).await).await;
        assert_eq!(tokens.claims["acr"], "urn:saoma:scan-confirmed");
    }
}

#[tokio::test]
async fn a_site_may_ask_for_a_confirmed_login_whatever_its_entry_says() {
    let (provider, cafe) = (Running::start().await, Site::cafe());
    let (mut agent, person) = (Agent::new(&provider), provider.person());
    let request = cafe.request().with("acr_values", "urn:saoma:scan-confirmed urn:saoma:scan");
    let handle = agent.authorize(&request).await.handle();
    let mut asked = Asked::of(&provider, provider.page(&handle).await, &person).await;
    assert!(asked.question.contains("Café"), "{}", asked.question);
    says(&provider, &person, &asked.number).await;
    let code = code_of(&asked.page.expect("scan_success").await);
    let answer = agent.go_on(&handle, &code).await;
    let tokens = cafe.finish(&provider, &request, &answer).await;
    assert_eq!(tokens.claims["acr"], "urn:saoma:scan-confirmed");
}

#[tokio::test]
async fn one_person_on_two_pages_confirms_the_newer_one() {
    let provider = confirming(shop()).await;
    let person = provider.person();
    let mut first = Asked::of(&provider, widget(&provider).await.0, &person).await;
    // CreateTime counts seconds, and a repeat of the older scan is known by it.
    let mut second = Asked::of(&provider, widget(&provider).await.0, &person).await;
    assert!(second.question.starts_with("上一次的登录已取消"), "{}", second.question);
    first.page.expect("denied").await;
    if first.number != second.number {
        let words = says(&provider, &person, &first.number).await;
        assert!(words.contains("数字不对"), "{words}");
    }
    says(&provider, &person, &second.number).await;
    code_of(&second.page.expect("scan_success").await);
}

#[tokio::test]
async fn a_number_that_comes_too_late_is_told_so_and_the_page_has_expired() {
    let sites = vec![shop(), Site::cafe(), Site::app()];
    let gateway = vec!["--gateway-login-ttl=10s".to_owned()];
    let provider = Running::with(Setup { sites, gateway, ..Setup::default() }).await;
    let person = provider.person();
    let mut asked = Asked::of(&provider, widget(&provider).await.0, &person).await;
    // Nobody waits two minutes: the page itself asks for another code, which ends this login as expired.
    asked.page.say(r#"{"message_type":"refresh"}"#).await;
    asked.page.code().await;
    for text in [asked.wrong(), asked.number.as_str()] {
        let words = says(&provider, &person, text).await;
        assert!(words.contains("已超时"), "{text}: {words}");
    }
}

/// The digits are spread, and none of them has a 0 that somebody could leave out.
#[tokio::test]
async fn thirty_people_confirm_at_once_each_by_a_number_of_their_own() {
    let provider = confirming(shop()).await;
    let logins = (0..30).map(async |_| {
        let person = provider.person();
        let mut asked = Asked::of(&provider, widget(&provider).await.0, &person).await;
        says(&provider, &person, &asked.number).await;
        let said = asked.page.expect("scan_success").await;
        assert!(matches!(asked.page.hear().await, Heard::Closed(4010)));
        (code_of(&said), asked.number)
    });
    let (codes, numbers): (HashSet<String>, Vec<String>) = join_all(logins).await.into_iter().unzip();
    assert_eq!(codes.len(), 30);
    assert!(numbers.iter().all(|number| number.len() == 2 && !number.starts_with('0')), "{numbers:?}");
    assert!(numbers.iter().collect::<HashSet<_>>().len() > 5, "{numbers:?}");
}
