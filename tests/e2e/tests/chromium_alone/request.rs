//! The login page as an issuer serves it for a request of a site: on a host of its own, with the gateway on another. Only the
//! issuer is the test's own here, and for some tests the gateway is the world's.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use login_page::{Brand, ForRequest, Language};
use server::http::{self as web, Response};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;

const QUERY: &str = "client_id=shop&nonce=of-the-site&code_challenge=of-the-site&state=a%20b&redirect_uri=x";

/// An issuer whose pages name this gateway, and the forms that are posted to it.
struct Issuer {
    address: SocketAddr,
    posted: mpsc::UnboundedReceiver<String>,
}

impl Issuer {
    /// One that listens until the test ends. It has to know its gateway, and the gateway its origin.
    async fn start(listener: TcpListener, gateway: SocketAddr, language: Option<Language>) -> Self {
        let address = listener.local_addr().unwrap();
        let (forms, posted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let never = CancellationToken::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (never, forms) = (never.clone(), forms.clone());
                tokio::spawn(async move {
                    let answer = |request| answer(request, gateway, language, forms.clone());
                    web::serve(stream, &never, web::HEAD_WITHIN, None, answer).await;
                });
            }
        });
        Self { address, posted }
    }

    fn page(&self, more: &str) -> String {
        format!("http://{}/authorize?{QUERY}{more}", self.address)
    }
}

async fn answer(
    request: Request<Incoming>,
    gateway: SocketAddr,
    language: Option<Language>,
    forms: mpsc::UnboundedSender<String>,
) -> Response {
    let script = |text| web::answer(StatusCode::OK, "text/javascript; charset=utf-8", text);
    match request.uri().path() {
        "/authorize" => {
            let gateway = format!("http://{gateway}");
            let cancel = "/cancelled?state=a%20b";
            let page = ForRequest {
                site: "示例商店",
                gateway: &gateway,
                request: "h4ndle",
                account: None,
                language,
                cancel,
                pictures: &[],
                brand: &Brand::NONE,
            };
            let mut response = web::answer(StatusCode::OK, "text/html; charset=utf-8", page.html());
            response.headers_mut().insert("content-security-policy", page.policy().parse().unwrap());
            response
        }
        "/login.js" => script(login_page::SCRIPT),
        "/widget.v1.js" => script(login_page::WIDGET),
        "/authorize.js" => script(login_page::REQUEST_SCRIPT),
        "/login.css" => web::answer(StatusCode::OK, "text/css; charset=utf-8", login_page::STYLE),
        "/authorize/continue" => {
            // The site is another origin, which the page's policy does not name.
            let host = request.headers()["host"].to_str().unwrap().replace("127.0.0.1", "localhost");
            let body = web::read_body(request.into_body(), 4096, Duration::from_secs(5)).await.unwrap();
            forms.send(String::from_utf8(body).unwrap()).unwrap();
            let mut response = web::text(StatusCode::SEE_OTHER, "");
            response.headers_mut().insert("location", format!("http://{host}/site").parse().unwrap());
            response
        }
        "/site" => web::text(StatusCode::OK, "the site"),
        "/favicon.ico" => web::text(StatusCode::OK, ""),
        _ => web::text(StatusCode::NOT_FOUND, "nothing is here"),
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

#[tokio::test]
async fn a_login_for_a_request_is_carried_on_to_the_issuer() {
    let gateway = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let mut issuer = Issuer::start(listener().await, gateway, None).await;
    let browser = Browser::start("en").await;
    browser.run_first(include_str!("world.js")).await;
    browser.open(&issuer.page("")).await;
    let look = async || browser.value("world.look()").await;

    // Of all that the page's address says nothing but the request is for the gateway.
    let seen = look().await;
    let asks = "request=h4ndle&lang=en&subprotocol=offered&picture=";
    has(&seen, &json!({ "asks": "ws://127.0.0.1:9/ws", "query": asks }));
    assert_eq!(browser.text("h1").await, "Log in to 示例商店");
    assert_eq!(browser.text("#back").await, "Back to 示例商店");

    // A key of another request opens nothing here.
    browser.value(&format!("world.say({})", code(120))).await;
    let kept = browser.value("JSON.parse(sessionStorage.getItem('saoma.'))").await;
    assert_eq!(kept, json!([KEY, "ws://127.0.0.1:9/ws?request=h4ndle", ""]));
    browser.client.refresh().await.unwrap();
    assert_eq!(look().await["offers"], offers(Some(KEY)));
    browser.value(&format!("sessionStorage.setItem('saoma.', JSON.stringify(['{KEY}', 'ws://127.0.0.1:9/ws?request=another', '']))")).await;
    browser.client.refresh().await.unwrap();
    assert_eq!(look().await["offers"], offers(None));

    // The language changes in place, and the address keeps what it says to the issuer.
    browser.value(&format!("world.say({})", code(120))).await;
    browser.click("#language").await;
    has(&look().await, &json!({ "state": "waiting", "attempts": 1 }));
    assert_eq!(browser.value("document.title").await, "登录 示例商店");
    assert_eq!(browser.text("#back").await, "返回 示例商店");
    let address = browser.value("location.href").await;
    let address = address.as_str().unwrap();
    assert_eq!(address.replace("a+b", "a%20b"), issuer.page("&lang=zh-CN"));

    browser.value("world.say({ message_type: 'scan_success', user: 'A', code: 'c&d' })").await;
    assert_eq!(issuer.posted.recv().await.unwrap(), "request=h4ndle&code=c%26d");
    browser.until("location.hostname === 'localhost' && document.body.textContent === 'the site'").await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_page_for_a_request_has_the_language_that_was_wished() {
    let issuer = Issuer::start(listener().await, ([127, 0, 0, 1], 9).into(), Some(Language::Chinese)).await;
    let browser = Browser::start("en").await;
    browser.run_first(include_str!("world.js")).await;
    for (more, heading) in [("", "登录 示例商店"), ("&lang=en", "Log in to 示例商店")] {
        browser.open(&issuer.page(more)).await;
        assert_eq!(browser.text("h1").await, heading);
    }
    // Somebody who waits for the issuer reads what for.
    browser.value("HTMLFormElement.prototype.submit = () => {}").await;
    for (code, status) in [("'c'", "You are logged in, returning to 示例商店…"), ("''", "You are logged in")]
    {
        let granted = format!("world.say({{ message_type: 'scan_success', user: '', code: {code} }})");
        let seen = browser.value(&granted).await;
        assert_eq!(seen["status"], status, "{seen}");
    }
}

#[tokio::test]
async fn the_gateway_gives_an_issuers_page_a_code_or_says_why_not() {
    let (known, foreign) = (listener().await, listener().await);
    let origin = format!("--gateway-allowed-origins=http://{}", known.local_addr().unwrap());
    let stack = Stack::start(Options { gateway: vec![origin], ..Options::default() }).await.unwrap();
    let known = Issuer::start(known, stack.gateway.browsers, None).await;
    let foreign = Issuer::start(foreign, stack.gateway.browsers, None).await;
    let browser = Browser::start("en").await;
    browser.open(&known.page("")).await;
    browser.until_state("waiting").await;
    browser.read_code(".saoma-code", &[]).await;
    assert_eq!(browser.complaints().await, [""; 0]);

    browser.open(&foreign.page("")).await;
    browser
        .until("document.querySelector('.saoma-detail').textContent.includes('GATEWAY_ALLOWED_ORIGINS')")
        .await;
}
