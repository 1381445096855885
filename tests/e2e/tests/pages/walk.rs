//! A walk through every page that we serve, and through every state of those that have some.

use demo::{Options, Stack};
use e2e::page::Page;
use simulator::{Client, Person, WebFaults};

use crate::stage::{DESK, PHONE, Stage};
use crate::{played, shop};

const LOGO: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 120 40'%3E\
    %3Crect width='120' height='40' rx='8' fill='%231d4ed8'/%3E%3Ccircle cx='60' cy='20' r='9' fill='white'/%3E%3C/svg%3E";

/// What an operator can put on the pages of a service, all of it.
fn brand(service: &str) -> Vec<String> {
    let settings = [
        ("logo", LOGO),
        ("accent", "#1d4ed8"),
        ("line", "本服务由示例科技提供 · Run by Example Ltd"),
        ("links", "隐私政策=https://a.example/privacy,Terms=https://a.example/terms"),
        ("account-name", "示例科技"),
    ];
    settings.map(|(name, value)| format!("--{service}-{name}={value}")).into()
}

/// Replaces the gateway's address in the lines that the example site shows.
const WITHOUT_PORT: &str =
    "document.querySelector('pre code').textContent = document.querySelector('pre code')
    .textContent.replace(/http:[^\\s]*:[0-9]+/, 'https://login.example.com')";

/// Replaces what is drawn anew for each login: where it breaks into lines decides where everything below it is.
const OF_ONE_LENGTH: &str = "[...document.querySelectorAll('#claims tr')]
    .filter(({ cells: [name] }) => ['sub', 'preferred_username', 'at_hash', 'nonce', 'sid'].includes(name.textContent))
    .forEach(({ cells: [, value] }) => { value.textContent = 'abcdefghijklmnopqrstuvwxyz'; })";

/// WeChat on an Android phone.
const WECHAT: &str = "Mozilla/5.0 (Linux; Android 14; 23013RK75C Build/UKQ1.230804.001; wv) AppleWebKit/537.36 (KHTML, \
    like Gecko) Version/4.0 Chrome/130.0.6723.103 Mobile Safari/537.36 XWEB/1300259 MMWEBSDK/20240404 MMWEBID/9 \
    MicroMessenger/8.0.49.2600(0x28003137) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64";

pub(crate) async fn walk(language: &'static str) {
    let start = async |branded: bool| {
        let wechat = simulator::Settings { nicknames: true, ..simulator::Settings::default() };
        // No code is there before a page is.
        let mut gateway = vec!["--gateway-qr-ready=0".to_owned()];
        let mut callback = vec!["--callback-confirm=true".to_owned()];
        if branded {
            gateway.push("--gateway-title=示例科技".to_owned());
            gateway.extend(brand("gateway"));
            callback.extend(brand("callback"));
        }
        let sites = Some(String::new());
        let options = Options { wechat, sites, web: true, gateway, callback, ..Options::default() };
        Stack::start(options).await.unwrap()
    };
    let (plain, branded, mut stage) = tokio::join!(start(false), start(true), Stage::start(language));
    let number = real(&plain, &mut stage).await;
    inside(&plain, &mut stage).await;

    // From here on the gateway is a played one, and the phone has no part.
    stage.browser.run_first(played::WORLD).await;
    let login = |stack: &Stack| format!("http://{}/", stack.gateway.browsers);
    let site = |stack: &Stack, path: &str| format!("http://{}{path}", stack.example_site.unwrap());
    let shop = shop::start(plain.gateway.browsers, language).await;
    let most = ["waiting", "number", "granted", "denied"];
    for (name, url, states) in [
        ("login", login(&plain), played::states()),
        ("authorize", site(&plain, "/login"), played::some_states(&most)),
        ("branded login", login(&branded), played::some_states(&most)),
        ("branded authorize", site(&branded, "/login"), played::some_states(&most[..1])),
        ("site with widget", site(&plain, "/widget"), played::some_states(&most)),
        ("site that mounts", site(&plain, "/mount"), played::some_states(&most[..2])),
        ("shop", shop.clone(), played::states()),
    ] {
        for (state, steps) in states {
            stage.play(&url, &steps).await;
            stage.see(&format!("{name} {state}")).await;
        }
    }
    // Accounts and devices for which a QR code is not the way, or not the only one.
    for (name, url) in [("login", login(&plain)), ("branded login", login(&branded)), ("shop", shop)] {
        for (state, steps) in played::ways() {
            stage.play(&url, &steps).await;
            stage.see(&format!("{name} {state}")).await;
        }
    }
    stage.agent(WECHAT).await;
    for (state, steps) in played::ways_inside() {
        stage.play(&login(&plain), &steps).await;
        stage.see(&format!("login {state}")).await;
    }
    stage.agent("").await;
    // For the README: the page whose digits the real conversation has, and a sample without a port.
    stage.play(&format!("{}?lang=en", login(&plain)), &[played::code(), played::scanned(&number)]).await;
    stage.keep("number", "body", "dark", PHONE).await;
    stage.play(&site(&plain, "/widget"), &[played::code()]).await;
    stage.browser.value(WITHOUT_PORT).await;
    stage.keep("widget", "body", "light", DESK).await;
    // Two of the pages say that a request was wrong, and so does their status; and the widget tells developers of a refusal.
    let complaints = stage.browser.complaints().await;
    let is_meant =
        |it: &&String| it.ends_with("a status of 400 (Bad Request)") || it.contains("/widget.v1.js ");
    let complaints: Vec<_> = complaints.iter().filter(|it| !is_meant(it)).collect();
    assert_eq!(complaints, [""; 0]);
    stage.end();
}

/// What real logins lead to: pages of the simulated phone, of the example site, and the issuer's short ones. Returns the
/// digits that were typed on the phone.
async fn real(stack: &Stack, stage: &mut Stage) -> String {
    let (wechat, site) = (&stack.wechat, format!("http://{}", stack.example_site.unwrap()));
    let issuer = format!("http://{}", stack.callback.pushes);
    let person = wechat.invent_person("阿狸", false).openid;
    for (name, url) in [
        ("site", format!("{site}/")),
        ("site, trouble", format!("{site}/callback?state=unknown")),
        ("site, logged out", format!("{site}/logged-out")),
        ("error", format!("{issuer}/authorize?client_id=nobody")),
    ] {
        stage.browser.open(&url).await;
        stage.see(name).await;
    }

    stage.browser.open(&format!("{site}/login?confirm=no")).await;
    stage.browser.until_state("waiting").await;
    let code = stage.browser.read_code(".saoma-code", &[]).await;
    wechat.scan(&person, &code).await.unwrap();
    stage.browser.until(&format!("location.href === '{site}/' && document.querySelector('#claims')")).await;
    stage.browser.value(OF_ONE_LENGTH).await;
    stage.see("site, logged in").await;
    for (answer, name) in [("no", "still logged in"), ("yes", "logged out")] {
        stage.browser.open(&format!("{issuer}/logout")).await;
        if answer == "no" {
            stage.see("logout").await;
        }
        stage.browser.click(&format!("button[value={answer}]")).await;
        stage.browser.until("location.pathname === '/logout/confirm'").await;
        stage.see(name).await;
    }

    // A phone on which nobody has scanned anything but the code above; then one with a code before it, and a question.
    let phone = wechat.public_url();
    stage.browser.open(&phone).await;
    stage.browser.until("document.querySelector('#people').value").await;
    stage.browser.value(&format!("localStorage.openid = sessionStorage.openid = {person:?}")).await;
    stage.browser.open(&phone).await;
    stage.browser.until("document.querySelector('#chat .theirs')").await;
    stage.see("phone").await;
    let of_site = "/ws?site=example&nonce=n&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let mut page = Page::of(Some(&site), stack.gateway.browsers, of_site).await.unwrap();
    let content = page.code().await.content;
    let _other = Page::open(stack.gateway.browsers).await;
    wechat.scan(&person, &content).await.unwrap();
    stage.browser.until("document.querySelectorAll('#chat .theirs').length > 1").await;
    stage.browser.until("document.querySelector('#codes .picture')?.complete").await;
    stage.see("phone, asked").await;
    page.expect("scanned").await;
    let number = page.expect("scanned").await["number"].as_str().unwrap().to_owned();
    wechat.say(&person, &number).await.unwrap();
    stage.browser.until("document.querySelectorAll('#chat .theirs').length > 2").await;
    stage.see("phone, granted").await;
    stage.keep("conversation", "#phone", "light", DESK).await;
    stage.browser.open(&content).await;
    stage.browser.until("document.querySelector('#preselected-scan').textContent").await;
    stage.browser.until("document.querySelectorAll('#chat .theirs').length > 2").await;
    stage.see("phone, opened by its camera").await;
    // It keeps asking, which a played world would not answer.
    stage.browser.open("about:blank").await;
    number
}

/// What logins inside WeChat lead to.
async fn inside(stack: &Stack, stage: &mut Stage) {
    let language = if stage.language == "en" { "en" } else { "zh_CN" };
    let person = Person { language: language.to_owned(), ..Person::default() };
    let person = stack.wechat.add_person(person).openid;
    let mut page = Page::open(stack.gateway.browsers).await;
    let scene = page.code().await.scene();
    let address = format!("http://{}/login/{scene}", stack.callback.pushes);
    stage.browser.open(&address).await;
    stage.see("inside, another browser").await;

    stage.agent(&Client::Phone.user_agent(language)).await;
    let in_wechat = |url: &str| {
        let query = [("openid", person.as_str()), ("url", url)];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        format!("{}/connect/phone?{query}", stack.wechat.public_url())
    };
    stage.browser.open(&in_wechat(&format!("http://{}/login", stack.example_site.unwrap()))).await;
    stage.see("inside, tap").await;
    stack.wechat.switches().set_web(WebFaults { snapshot: true, ..WebFaults::default() });
    stage.browser.open(&in_wechat(&address)).await;
    stage.see("inside, snapshot").await;
    stack.wechat.switches().set_web(WebFaults::default());
    stage.browser.open(&in_wechat(&format!("{address}?back=seen"))).await;
    stage.see("inside, question").await;
    page.expect("scanned").await;
    let number = page.expect("scanned").await["number"].as_str().unwrap().to_owned();
    stage.browser.open(&in_wechat(&address)).await;
    stage.browser.click(&format!("button[value=\"{number}\"]")).await;
    stage.browser.until("location.pathname === '/login/answer'").await;
    stage.see("inside, logged in").await;

    let scene = Page::open(stack.gateway.browsers).await.code().await.scene();
    let address = format!("http://{}/login/{scene}", stack.callback.pushes);
    stage.browser.open(&in_wechat(&address)).await;
    stage.browser.click("button[value=\"0\"]").await;
    stage.browser.until("location.pathname === '/login/answer'").await;
    stage.see("inside, refused").await;
    stage.agent("").await;

    // The same on the phone's page.
    let phone = stack.wechat.public_url();
    stage.browser.open(&phone).await;
    stage.browser.until("document.querySelector('#people').value").await;
    stage.browser.value(&format!("localStorage.openid = sessionStorage.openid = {person:?}")).await;
    stage.browser.open(&phone).await;
    stage.browser.until("document.querySelector('#people').value").await;
    let scene = Page::open(stack.gateway.browsers).await.code().await.scene();
    let address = format!("http://{}/login/{scene}", stack.callback.pushes);
    stage.browser.value(&format!("(document.querySelector('#link').value = {address:?})")).await;
    stage.browser.click("#browse button").await;
    let numbers = "(page => page.querySelectorAll('.numbers').length && page.adoptedStyleSheets.length)(
        document.querySelector('#webview-page').contentDocument)";
    stage.browser.until(numbers).await;
    // The camera looks once a second, and has each code's picture later.
    let camera = format!(
        "(pictures => pictures[0]?.alt.includes({scene:?}) && pictures.every(it => it.complete))(
        [...document.querySelectorAll('#codes .picture')])"
    );
    stage.browser.until(&camera).await;
    stage.see("phone, in WeChat's browser").await;
    stage.browser.open("about:blank").await;
}
