//! Web authorizations: what WeChat's page refuses, asks and gives.

use simulator::{Client, Settings, Simulator, WebFaults, Webview};

use crate::support::{Served, serve};

/// Where the simulated account's own page is: an address at which nobody is asked.
const BACK: &str = "http://127.0.0.1:9/back";

fn address(served: &Served, scope: &str) -> String {
    let app_id = &Settings::default().app_id;
    format!(
        "{}/connect/oauth2/authorize?appid={app_id}&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fback\
         &response_type=code&scope={scope}&state=s7",
        served.url
    )
}

fn webview(simulator: &Simulator) -> Webview {
    let person = simulator.invent_person("小明", false);
    let mut webview = Webview::of(simulator, &person.openid, Client::Phone);
    webview.stop_at = Some(BACK.to_owned());
    webview
}

/// A parameter of an address.
fn parameter(url: &str, name: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn a_silent_authorization_gives_a_code_that_is_exchanged_once() {
    let served = serve(Settings::default()).await;
    let mut webview = webview(&served.simulator);
    let back = webview.open(&address(&served, "snsapi_base")).await.unwrap().url;
    assert_eq!(parameter(&back, "state").as_deref(), Some("s7"));
    let code = parameter(&back, "code").unwrap();
    let Settings { app_id, app_secret, .. } = Settings::default();
    let exchange = |secret: String| {
        let query = [("appid", app_id.clone()), ("secret", secret), ("code", code.clone())];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let url = format!("{}/sns/oauth2/access_token?{query}&grant_type=authorization_code", served.url);
        let http = served.http.clone();
        async move { http.get(url).send().await.unwrap().json::<serde_json::Value>().await.unwrap() }
    };
    assert_eq!(exchange("wrong".to_owned()).await["errcode"], 40125);
    let given = exchange(app_secret.clone()).await;
    assert_eq!((given["scope"].as_str(), given.get("unionid")), (Some("snsapi_base"), None));
    assert_eq!(exchange(app_secret).await["errcode"], 40163);
    // Without the person's consent there is no profile.
    let url = format!(
        "{}/sns/userinfo?access_token={}&openid={}",
        served.url,
        given["access_token"].as_str().unwrap(),
        given["openid"].as_str().unwrap()
    );
    let refused: serde_json::Value = served.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(refused["errcode"], 48001);
}

#[tokio::test]
async fn a_person_is_asked_for_more_and_may_refuse() {
    let served = serve(Settings::default()).await;
    let mut webview = webview(&served.simulator);
    let asked = webview.open(&address(&served, "snsapi_userinfo")).await.unwrap();
    let refused = webview.press(&asked, "refuse").await.unwrap().url;
    assert_eq!((parameter(&refused, "code"), parameter(&refused, "state").as_deref()), (None, Some("s7")));
    let allowed = webview.press(&asked, "allow").await.unwrap().url;
    assert!(parameter(&allowed, "code").is_some());
}

#[tokio::test]
async fn what_wechat_refuses_is_refused_on_a_page_with_its_number() {
    let settings = Settings { web_domains: vec!["id.example.cn".to_owned()], ..Settings::default() };
    let served = serve(settings).await;
    let mut webview = webview(&served.simulator);
    let page = webview.open(&address(&served, "snsapi_base")).await.unwrap();
    assert!(
        page.body.contains("10003") && page.body.contains("redirect_uri域名与后台配置不一致"),
        "{}",
        page.body
    );

    let served = serve(Settings::default()).await;
    let mut webview = self::webview(&served.simulator);
    let good = address(&served, "snsapi_base");
    for (url, number) in [
        (address(&served, "snsapi_login"), "10005"),
        (good.replace("&scope=snsapi_base", ""), "10013"),
        (good.replace("appid=wx", "appid=wy"), "10016"),
        (good.replace("state=s7", "state=s_7"), "10002"),
        (good.replace("&scope=snsapi_base&state=s7", "&state=s7&scope=snsapi_base"), "10002"),
    ] {
        let page = webview.open(&url).await.unwrap();
        assert!(page.body.contains(&format!("错误码：{number}")), "{url}: {}", page.body);
    }
    served.simulator.switches().set_web(WebFaults { no_permission: true, ..WebFaults::default() });
    assert!(webview.open(&good).await.unwrap().body.contains("10005"));
    served.simulator.switches().set_web(WebFaults::default());
    // A browser that is not WeChat has no person.
    let page = served.http.get(&good).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("请在微信客户端打开链接"), "{page}");
}
