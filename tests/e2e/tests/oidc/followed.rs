//! One login is followed by its id through every line of both services' logs, as text and as JSON, while others go on; and
//! through a collector of traces.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use e2e::page::Page;
use e2e::raw::metric_becomes;
use protocol::LoginId;
use serde_json::Value;
use simulator::{Client, Webview};
use tempfile::TempDir;
use tokio::task::block_in_place;

use crate::agent::Agent;
use crate::backchannel::BackEnd;
use crate::collector::{Collector, Exported};
use crate::confirmation::{Asked, says};
use crate::instances::Instances;
use crate::parameters::Parameters;
use crate::provider::{Provider, code_of};
use crate::relying_party::{Site, came_back, pkce};

/// What the log says of a login that is scanned, or whose code is typed, and ends as granted.
const SHOWN: &str = "a login is shown";
const ANSWERED: &str = "a notice was answered";
const TOLD: &str = "the page is told";
const HEARD: &str = "the claim is heard";
const SCANNED: &str = "a scan was answered";

/// What it says of a person who is asked.
const ASKED: &str = "the person is asked";
const NUMBER: &str = "a number was typed";

/// What it says of a login at a site.
const CODE: &str = "the page's code is made";
const BROUGHT: &str = "the page has brought its code";
const LEARNT: &str = "a site has learnt who logged in";
const QUEUED: &str = "a site is to be told";
const DELIVERED: &str = "a site has been told";

/// Every line of a login, none of which may be without its id.
const ALL: [&str; 14] = [
    SHOWN,
    ANSWERED,
    TOLD,
    HEARD,
    SCANNED,
    ASKED,
    NUMBER,
    CODE,
    BROUGHT,
    LEARNT,
    QUEUED,
    DELIVERED,
    "a page has come back to its login",
    "a wrong number was typed",
];

/// A login that is over.
struct Followed {
    what: &'static str,
    scene: String,
    /// What the log must say of it.
    lines: Vec<&'static str>,
    /// The steps that its trace must have.
    steps: Vec<&'static str>,
}

impl Followed {
    fn new(what: &'static str, scene: String, lines: &[&[&'static str]], steps: &[&'static str]) -> Self {
        let (lines, steps) = (lines.concat(), [&["show", "claim", "scan"], steps].concat());
        Self { what, scene, lines, steps }
    }

    fn id(&self) -> String {
        LoginId::of(self.scene.parse().unwrap()).to_string()
    }
}

/// The lines of any login.
const ANY: &[&str] = &[SHOWN, ANSWERED, TOLD, HEARD, SCANNED];

async fn by_scan(provider: &Provider, name: &'static str) -> Followed {
    let mut page = Page::open(provider.gateway).await;
    let shown = page.code().await;
    // A page that comes back is the same login.
    let mut back = Page::resume(provider.gateway, &shown.resume).await;
    back.code().await;
    provider.wechat.scan(&provider.person(), &shown.content).await.unwrap();
    back.expect("scanned").await;
    back.expect("scan_success").await;
    back.closed().await;
    let lines = [ANY, &["a page has come back to its login", "a page's connection ends"]];
    Followed::new(name, shown.scene(), &lines, &["resume"])
}

async fn by_typed_code(provider: &Provider) -> Followed {
    let mut page = Page::open(provider.gateway).await;
    let shown = page.expect("qrcode_url").await;
    let text = |field: &str| shown[field].as_str().unwrap().to_owned();
    says(provider, &provider.person(), &text("typed")).await;
    page.expect("scanned").await;
    page.expect("scan_success").await;
    let scene = text("resume").split('.').next().unwrap().to_owned();
    Followed::new("typed", scene, &[ANY], &[])
}

async fn inside_wechat(provider: &Provider) -> Followed {
    let mut page = Page::open(provider.gateway).await;
    let scene = page.code().await.scene();
    let mut webview = Webview::of(&provider.wechat, &provider.person(), Client::Phone);
    let question = webview.open(&format!("{}/login/{scene}", provider.issuer)).await.unwrap();
    let done = webview.press(&question, "1").await.unwrap();
    assert!(done.body.contains("登录成功"), "{}", done.body);
    page.expect("scanned").await;
    page.expect("scan_success").await;
    Followed::new("inside WeChat", scene, &[ANY, &[ASKED, NUMBER]], &["answer"])
}

/// At the shop, whose people confirm, by redirect; and then out again.
async fn by_redirect(provider: &Provider, shop: &Site) -> Followed {
    let (mut agent, person) = (Agent::new(provider), provider.person());
    let request = shop.request();
    let handle = agent.authorize(&request).await.handle();
    let mut asked = Asked::of(provider, provider.page(&handle).await, &person).await;
    for text in [asked.wrong(), &asked.number] {
        says(provider, &person, text).await;
    }
    let scene = asked.scene();
    let posted = code_of(&asked.page.expect("scan_success").await);
    let tokens = shop.finish(provider, &request, &agent.go_on(&handle, &posted).await).await;
    let logout = Parameters::of(&[("id_token_hint", &tokens.id_token)]);
    let asked = agent.get(&format!("/logout?{}", logout.encoded())).await;
    agent.say_yes(asked).await;
    let lines = [ANY, &[ASKED, "a wrong number was typed", NUMBER, CODE, BROUGHT, LEARNT, QUEUED, DELIVERED]];
    Followed::new("redirect", scene, &lines, &["answer", "continue", "token", "deliver"])
}

/// At the café, whose people need not confirm.
async fn by_redirect_at_once(provider: &Provider, cafe: &Site) -> Followed {
    let (mut agent, person) = (Agent::new(provider), provider.person());
    let request = cafe.request();
    let handle = agent.authorize(&request).await.handle();
    let mut page = provider.page(&handle).await;
    let shown = page.code().await;
    provider.wechat.scan(&person, &shown.content).await.unwrap();
    page.expect("scanned").await;
    let posted = code_of(&page.expect("scan_success").await);
    let code = came_back(provider, &request, &agent.go_on(&handle, &posted).await);
    cafe.take(provider, &request, &cafe.redeem(provider, &cafe.grant(&code)).await).await;
    Followed::new("at once", shown.scene(), &[ANY, &[CODE, BROUGHT, LEARNT]], &["continue", "token"])
}

async fn widget(provider: &Provider) -> (Page, Parameters, String) {
    let (verifier, challenge) = pkce();
    let query = Parameters::of(&[("site", "shop"), ("nonce", "n-1"), ("code_challenge", &challenge)]);
    let path = format!("/ws?{}", query.encoded());
    (Page::of(Some("https://shop.example.cn"), provider.gateway, &path).await.unwrap(), query, verifier)
}

async fn by_widget(provider: &Provider, shop: &Site) -> Followed {
    let (page, query, verifier) = widget(provider).await;
    let person = provider.person();
    let mut asked = Asked::of(provider, page, &person).await;
    says(provider, &person, &asked.number).await;
    let scene = asked.scene();
    let code = code_of(&asked.page.expect("scan_success").await);
    let grant = shop.grant(&code).without("redirect_uri").with("code_verifier", &verifier);
    shop.take(provider, &query, &shop.redeem(provider, &grant).await).await;
    let lines = [ANY, &[ASKED, NUMBER, CODE, LEARNT, QUEUED, DELIVERED]];
    Followed::new("widget", scene, &lines, &["answer", "token", "deliver"])
}

/// The person says that it was not them; and a login that takes another's place denies that one.
async fn denied(provider: &Provider) -> [Followed; 2] {
    let person = provider.person();
    let mut first = Asked::of(provider, widget(provider).await.0, &person).await;
    let mut second = Asked::of(provider, widget(provider).await.0, &person).await;
    first.page.expect("denied").await;
    says(provider, &person, "0").await;
    second.page.expect("denied").await;
    [
        Followed::new("replaced", first.scene(), &[ANY, &[ASKED]], &["deny"]),
        Followed::new(
            "denied",
            second.scene(),
            &[ANY, &[ASKED, NUMBER, QUEUED, DELIVERED]],
            &["deny", "deliver"],
        ),
    ]
}

/// A shop that is told everything.
fn shop_before(back_end: &BackEnd) -> Site {
    let url = &back_end.url;
    Site::shop()
        .and("confirm = true")
        .and(&format!("backchannel_logout_uri = \"{url}/backchannel_logout\""))
        .and(&format!("webhook_url = \"{url}/hook\""))
        .and("webhook_key = \"0123456789abcdef0123456789abcdef\"")
}

/// What came of logins by every way, several at once.
struct Told {
    logins: Vec<Followed>,
    /// Of the gateway and of the callback service.
    log: String,
    traces: Vec<Exported>,
}

async fn follow(format: &str, level: &str) -> Told {
    let (folder, mut back_end, collector): (TempDir, _, _) =
        (tempfile::tempdir().unwrap(), BackEnd::start(&[200]).await, Collector::start().await);
    let (shop, cafe) = (shop_before(&back_end), Site::cafe());
    let store = format!("sqlite:{}", folder.path().join("callback.db").display());
    let mut instances = Instances::prepare(&store, 1, &[shop.clone(), cafe.clone()]).await;
    let fleet = &mut instances.fleet;
    fleet.gateways[0].set("GATEWAY_WAYS", "scan,typed".to_owned());
    fleet.callbacks[0].set("CALLBACK_WEB_AUTHORIZATION", "base".to_owned());
    for node in fleet.callbacks.iter_mut().chain(&mut fleet.gateways) {
        node.set("RUST_LOG", level.to_owned());
        node.set("LOG_FORMAT", format.to_owned());
        node.set("GATEWAY_DRAIN_TIME", "2s".to_owned());
        node.set("CALLBACK_DRAIN_TIME", "2s".to_owned());
        node.set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.clone());
    }
    instances.start_all().await;
    let provider = instances.at(0);

    let (scan, other, typed, inside, redirect, at_once, by_widget, denied) = tokio::join!(
        by_scan(&provider, "scan"),
        by_scan(&provider, "another scan"),
        by_typed_code(&provider),
        inside_wechat(&provider),
        by_redirect(&provider, &shop),
        by_redirect_at_once(&provider, &cafe),
        by_widget(&provider, &shop),
        denied(&provider),
    );
    let mut logins = vec![scan, other, typed, inside, redirect, at_once, by_widget];
    logins.extend(denied);

    // Two logins and a denial by the webhook, and a logout. Whom another login has replaced has said nothing.
    let mut hooks = BTreeMap::new();
    for _ in 0..4 {
        let heard = back_end.next().await;
        if heard.head.contains("/hook") {
            let hook: Value = serde_json::from_str(&heard.body).unwrap();
            hooks.insert(hook["login_id"].as_str().unwrap().to_owned(), hook["type"].clone());
        }
    }
    for login in logins.iter().filter(|login| login.lines.contains(&DELIVERED)) {
        let expected = if login.what == "denied" { "denial" } else { "login" };
        assert_eq!(hooks.remove(&login.id()), Some(expected.into()), "{}", login.what);
    }
    assert!(hooks.is_empty(), "{hooks:?}");
    for (kind, times) in [("login", 2), ("denial", 1), ("logout", 1)] {
        let name = format!("callback_outbox_delivered_total{{kind=\"{kind}\"}}");
        metric_becomes(instances.fleet.callbacks[0].admin, &name, times).await;
    }
    let mut log = String::new();
    for node in instances.fleet.callbacks.iter_mut().chain(&mut instances.fleet.gateways) {
        let program = node.program_mut();
        assert!(block_in_place(|| program.terminate()).success());
        log += &format!("{}\n", program.log());
    }
    // Whatever they exported came before their end.
    Told { logins, log, traces: collector.exported() }
}

/// The logins that a line names.
fn ids(format: &str, line: &str) -> BTreeSet<String> {
    let is_id = |text: &&str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match format {
        "json" => {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let spans = line["spans"].as_array().cloned().unwrap_or_default();
            let logins = spans.into_iter().filter(|span| span["name"] == "login");
            let all: BTreeSet<_> = logins.map(|span| span["id"].as_str().unwrap().to_owned()).collect();
            // The place that documents name.
            assert!(all.is_empty() || all.contains(line["span"]["id"].as_str().unwrap()), "{line}");
            all
        }
        _ => {
            let ids = line.split("login{id=").skip(1).filter_map(|rest| rest.get(..32));
            ids.filter(is_id).map(str::to_owned).collect()
        }
    }
}

/// What must hold of the lines of a log.
fn judge(format: &str, told: &Told) {
    let Told { logins, log, .. } = told;
    let mut lines: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for line in log.lines().filter(|line| !line.is_empty()) {
        let ids = ids(format, line);
        assert!(ids.len() <= 1, "one line of two logins: {line}");
        let of_login = ALL.iter().find(|words| line.contains(**words));
        assert!(of_login.is_none() || ids.len() == 1, "a line of a login without its id: {line}");
        for id in ids {
            lines.entry(id).or_default().push(line);
        }
    }
    let known: HashSet<_> = logins.iter().map(Followed::id).collect();
    for id in lines.keys() {
        assert!(known.contains(id), "of no login that there was: {:?}", lines[id]);
    }
    for login in logins {
        assert!(!log.contains(&login.scene[..8]), "{}: its scene is in the log", login.what);
        let own = lines.get(&login.id()).unwrap_or_else(|| panic!("{}: no line", login.what));
        for words in &login.lines {
            let all = own.join("\n");
            assert!(all.contains(words), "{}: {words:?} is not in\n{all}", login.what);
        }
        let info = own.iter().filter(|line| line.contains("INFO")).count();
        assert!((2..=6).contains(&info), "{}: {info} lines at level info: {own:#?}", login.what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_login_is_followed_by_its_id_through_every_line_of_both_logs() {
    for format in ["json", "text"] {
        judge(
            format,
            &follow(format, "info,ws_gateway=trace,callback_service=trace,protocol=trace,records=trace")
                .await,
        );
    }
}

/// Whatever is logged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logins_trace_is_its_id_and_has_the_steps_of_both_services() {
    // The tests' programs wait for this line.
    let level = "error,ws_gateway::commands=info,callback_service::commands=info";
    let Told { logins, log, traces } = follow("json", level).await;
    assert_eq!(log.matches("\"message\"").count(), 2, "{log}");
    let mut seen: BTreeMap<String, Vec<&Exported>> = BTreeMap::new();
    for span in &traces {
        seen.entry(span.trace.clone()).or_default().push(span);
    }
    for login in &logins {
        let own = seen.remove(&login.id()).unwrap_or_default();
        let steps: BTreeSet<_> = own.iter().map(|span| span.name.as_str()).collect();
        let services: BTreeSet<_> = own.iter().map(|span| span.service.as_str()).collect();
        assert_eq!(services, BTreeSet::from(["callback-service", "ws-gateway"]), "{}: {own:?}", login.what);
        for step in &login.steps {
            assert!(steps.contains(step), "{}: no {step} in {steps:?}", login.what);
        }
        let known: HashSet<_> = own.iter().map(|span| &span.id).collect();
        for span in &own {
            assert!(span.parent.as_ref().is_none_or(|parent| known.contains(parent)), "{span:?}");
            assert!(span.took < Duration::from_secs(60), "{span:?}");
        }
        assert!(own.iter().any(|span| span.texts.iter().any(|text| text == SCANNED)), "{own:?}");
        for text in own.iter().flat_map(|span| &span.texts) {
            assert!(!text.contains(&login.scene[..8]), "{text}");
        }
    }
    assert!(seen.is_empty(), "of no login that there was: {seen:?}");
}
