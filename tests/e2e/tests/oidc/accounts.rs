//! Several official accounts behind one provider: each site's people come by its own account, and by no other. Where they are
//! of one Open Platform account, a person is the same at sites that know people by the unionid.

use crate::agent::{Agent, Answer};
use crate::provider::{Running, Setup, code_of};
use crate::relying_party::{Site, Tokens, came_back_with};
use e2e::page::{Heard, Page};
use serde_json::Value;

/// A site of an account.
fn site(id: &'static str, lines: &str) -> Site {
    let uri = format!("https://{id}.example.cn/callback");
    Site::new(id, &[&uri], &format!("name = \"{id}\"\norigins = [\"https://{id}.example.cn\"]\n{lines}"))
}

/// A provider with the accounts `one` and `two` beside that of the variables, all of one Open Platform account.
async fn provider(sites: &[Site]) -> Running {
    let others = vec!["one".to_owned(), "two".to_owned()];
    let wechat = simulator::Settings { unionids: true, ..simulator::Settings::default() };
    let allowed = "--gateway-allowed-origins=*".to_owned();
    let setup = Setup { sites: sites.to_vec(), others, wechat, gateway: vec![allowed], ..Setup::default() };
    Running::with(setup).await
}

/// A person follows the account of this number. Who it is there, where they are `person` at the first.
fn follower(provider: &Running, account: usize, person: &str) -> String {
    let wechat = &provider.others[account];
    let same = wechat.same_person(&provider.wechat, person).unwrap();
    wechat.add_person(simulator::Person { follower: true, ..same }).openid
}

/// The page of `/authorize`, whose markup says which account it asks the gateway for.
async fn page(provider: &Running, answer: &Answer) -> Page {
    let html = answer.page(200);
    let account = html.split_once("data-account=\"").map(|(_, rest)| rest.split('"').next().unwrap());
    let account = account.map_or_else(String::new, |account| format!("&account={account}"));
    let path = format!("/ws?request={}{account}", answer.handle());
    Page::of(Some(&provider.issuer), provider.gateway, &path).await.unwrap()
}

/// A person logs in at a site by the account of this number.
async fn log_in(provider: &Running, agent: &mut Agent, site: &Site, account: usize, openid: &str) -> Tokens {
    let request = site.request().with("scope", "openid profile");
    let answer = agent.authorize(&request).await;
    let mut page = page(provider, &answer).await;
    let code = page.code().await;
    let delivery = provider.others[account].scan(openid, &code.content).await.unwrap();
    assert!(delivery.is_ok(), "{delivery:?}");
    page.expect("scanned").await;
    let code = code_of(&page.expect("scan_success").await);
    let answer = agent.go_on(&answer.handle(), &code).await;
    site.finish(provider, &request, &answer).await
}

#[tokio::test]
async fn one_person_by_two_accounts_is_one_sub_where_the_site_says_so() {
    let sites = [
        site("tea", "account = \"one\"\nsubject = \"unionid\""),
        site("rice", "account = \"two\"\nsubject = \"unionid\""),
        site("soup", "account = \"one\""),
        site("cake", "account = \"two\""),
    ];
    let provider = provider(&sites).await;
    let person = provider.person();
    let (at_one, at_two) = (follower(&provider, 0, &person), follower(&provider, 1, &person));
    assert_ne!(at_one, at_two);
    let [tea, rice, soup, cake] = &sites;
    let mut agent = Agent::new(&provider);
    let at_tea = log_in(&provider, &mut agent, tea, 0, &at_one).await;
    let at_rice = log_in(&provider, &mut Agent::new(&provider), rice, 1, &at_two).await;
    assert_eq!(at_tea.claims["sub"], at_rice.claims["sub"]);
    assert_eq!(at_tea.person["preferred_username"], at_rice.person["preferred_username"]);
    assert_ne!(at_tea.claims["sub"], at_one, "it is the unionid");

    // The session of one account serves the site of another one that means the same person, and no other site.
    let request = rice.request().with("prompt", "none");
    let answer = agent.authorize(&request).await;
    let silent = rice.finish(&provider, &request, &answer).await;
    assert_eq!(silent.claims["sub"], at_rice.claims["sub"]);
    let request = cake.request().with("prompt", "none");
    came_back_with(&provider, &request, &agent.authorize(&request).await, "login_required");

    // Elsewhere the person is whom the site's own account knows, and both sessions live side by side.
    let at_cake = log_in(&provider, &mut agent, cake, 1, &at_two).await;
    assert_eq!(at_cake.claims["sub"], at_two);
    let request = soup.request().with("prompt", "none");
    let at_soup = soup.finish(&provider, &request, &agent.authorize(&request).await).await;
    assert_eq!(at_soup.claims["sub"], at_one);
}

/// What a page says in the query of its socket is the visitor's word, so the account is checked once more.
#[tokio::test]
async fn a_login_goes_to_no_site_of_another_account() {
    let sites = [site("tea", "account = \"one\""), site("plain", "")];
    let provider = provider(&sites).await;
    let person = provider.person();
    let scan = async |query: &str, origin: &str, account: Option<usize>| -> (Value, String) {
        let wechat = account.map_or(&provider.wechat, |account| &provider.others[account]);
        let openid = account.map_or_else(|| person.clone(), |account| follower(&provider, account, &person));
        let mut page = Page::of(Some(origin), provider.gateway, &format!("/ws?{query}")).await.unwrap();
        let code = page.code().await;
        let delivery = wechat.scan(&openid, &code.content).await.unwrap();
        page.expect("scanned").await;
        let Heard::Message(heard) = page.hear().await else { panic!("{delivery:?}") };
        (heard, delivery.reply.unwrap_or_default())
    };
    let widget = |site: &str, account: &str| {
        format!("site={site}&nonce=n&code_challenge={}&account={account}", "a".repeat(43))
    };
    for (site, account, number) in [("tea", "two", Some(1)), ("tea", "", None), ("plain", "one", Some(0))] {
        let (heard, said) = scan(&widget(site, account), &format!("https://{site}.example.cn"), number).await;
        assert_eq!(heard["message_type"], "denied", "{site} by {account:?}: {heard}");
        assert!(!said.contains("登录成功"), "{said}");
    }
    let (heard, said) = scan(&widget("tea", "one"), "https://tea.example.cn", Some(0)).await;
    assert_eq!(heard["message_type"], "scan_success", "{heard} {said}");
    let (heard, said) = scan(&widget("plain", ""), "https://plain.example.cn", None).await;
    assert_eq!(heard["message_type"], "scan_success", "{heard} {said}");
}
