//! WeChat's API over real sockets, as software under test sees it.

use std::io::Cursor;
use std::time::{Duration, Instant};

use crate::support::{Served, receive, serve};
use serde_json::{Value, json};
use simulator::{Call, Fault, Settings, Told};

fn read_picture(file: &[u8]) -> String {
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let (width, height) = (info.width as usize, info.height as usize);
    let mut picture =
        rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
    picture.detect_grids()[0].decode().unwrap().1
}

#[tokio::test]
async fn a_code_from_the_token_to_the_picture() {
    let served = serve(Settings::default()).await;
    let code = served.code("L7fK2m-Qx", 300).await;
    assert_eq!(code["expire_seconds"], 300);
    let url = code["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/q/", served.url)), "{url}");

    let picture = |ticket: &str| {
        let url = format!("{}/cgi-bin/showqrcode", served.url);
        served.http.get(url).query(&[("ticket", ticket)]).send()
    };
    let shown = picture(code["ticket"].as_str().unwrap()).await.unwrap();
    assert_eq!(shown.headers()["content-type"], "image/png");
    assert_eq!(read_picture(&shown.bytes().await.unwrap()), url);
    assert_eq!(picture("gQinvented").await.unwrap().status(), 404);
}

#[tokio::test]
async fn permanent_codes_and_defaults() {
    let served = serve(Settings::default()).await;
    let path = format!("/cgi-bin/qrcode/create?access_token={}", served.stable_token().await);
    let permanent = json!({"action_name": "QR_LIMIT_SCENE", "action_info": {"scene": {"scene_id": 5}}});
    let permanent = served.post(&path, &permanent).await;
    assert!(permanent["expire_seconds"].is_null() && permanent["ticket"].is_string());
    let bare = served.post(&path, &json!({"action_name": "QR_SCENE"})).await;
    assert_eq!(bare["expire_seconds"], 60);
}

async fn errcode(served: &Served, path: &str, body: Option<Value>) -> i64 {
    let url = format!("{}{path}", served.url);
    let request = match body {
        Some(body) => served.http.post(url).json(&body),
        None => served.http.get(url),
    };
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    let answer: Value = answer.json().await.unwrap();
    let text = answer["errmsg"].as_str().unwrap();
    assert!(text.contains(" rid: "), "{text}");
    answer["errcode"].as_i64().unwrap()
}

#[tokio::test]
async fn wrong_calls_have_wechats_codes() {
    let served = serve(Settings::default()).await;
    let token = served.stable_token().await;
    let (id, secret) = ("wx0123456789abcdef", "0123456789abcdef0123456789abcdef");
    let stable = |grant: &str, id: &str, secret: &str| {
        let body = json!({"grant_type": grant, "appid": id, "secret": secret});
        errcode(&served, "/cgi-bin/stable_token", Some(body))
    };
    assert_eq!(stable("password", id, secret).await, 40002);
    assert_eq!(stable("client_credential", "", secret).await, 41002);
    assert_eq!(stable("client_credential", "wx1", secret).await, 40013);
    assert_eq!(stable("client_credential", id, "").await, 41004);
    assert_eq!(stable("client_credential", id, "wrong").await, 40125);

    let get = async |path: String| errcode(&served, &path, None).await;
    let classic = "/cgi-bin/token?grant_type=client_credential&appid=wx0123456789abcdef&secret=wrong";
    assert_eq!(get(classic.to_owned()).await, 40001);
    assert_eq!(get("/cgi-bin/stable_token".to_owned()).await, 43002);
    assert_eq!(get("/cgi-bin/nothing".to_owned()).await, 40066);
    assert_eq!(get("/cgi-bin/user/info?openid=o1".to_owned()).await, 41001);
    assert_eq!(get("/cgi-bin/user/info?openid=o1&access_token=x".to_owned()).await, 40001);
    assert_eq!(get(format!("/cgi-bin/user/info?access_token={token}")).await, 41009);
    assert_eq!(get(format!("/cgi-bin/user/info?access_token={token}&openid=o1")).await, 40003);

    let path = format!("/cgi-bin/qrcode/create?access_token={token}");
    let create = |body: Value| errcode(&served, &path, Some(body));
    assert_eq!(create(json!("no object")).await, 47001);
    assert_eq!(create(json!({"action_name": "QR"})).await, 40052);
    let long =
        json!({"action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": "x".repeat(65)}}});
    assert_eq!(create(long).await, 40053);
    let months = json!({"action_name": "QR_SCENE", "expire_seconds": 2_592_001});
    assert_eq!(create(months).await, 47003);
}

#[tokio::test]
async fn the_account_learns_of_itself() {
    let served = serve(Settings::default()).await;
    let token = served.stable_token().await;
    let post = async |path: &str, body: Value| {
        served.post(&format!("/cgi-bin/{path}?access_token={token}"), &body).await
    };
    served.code("a", 60).await;
    let quota = async |path: &str| post("openapi/quota/get", json!({"cgi_path": path})).await;
    let expected = json!({"daily_limit": 100_000, "used": 1, "remain": 99_999});
    assert_eq!(quota("/cgi-bin/qrcode/create").await["quota"], expected);
    assert_eq!(quota("cgi-bin/qrcode/create").await["errcode"], 76003);
    assert_eq!(quota("/cgi-bin/menu/get").await["errcode"], 76021);
    assert_eq!(quota("/sns/userinfo").await["errcode"], 76022);

    let refused = served.get(&format!("/cgi-bin/user/info?access_token={token}&openid=o1")).await;
    let (_, rid) = refused["errmsg"].as_str().unwrap().rsplit_once("rid: ").unwrap();
    let told = post("openapi/rid/get", json!({"rid": rid})).await;
    assert_eq!(told["request"]["client_ip"], "127.0.0.1");
    assert!(told["request"]["response_body"].as_str().unwrap().contains("40003"));
    assert_eq!(post("openapi/rid/get", json!({"rid": "1-2-3"})).await["errcode"], 76001);
    assert_eq!(post("openapi/rid/get", json!({"rid": ""})).await["errcode"], 76002);

    let check = async |action: &str, operator: &str| {
        post("callback/check", json!({"action": action, "check_operator": operator})).await
    };
    assert_eq!(check("all", "DEFAULT").await["errcode"], 40201);
    served.simulator.set_push_url("http://127.0.0.1:9/wechat".to_owned());
    let all = check("all", "DEFAULT").await;
    assert_eq!((&all["dns"][0]["ip"], &all["ping"][0]["package_loss"]), (&json!("127.0.0.1"), &json!("0%")));
    assert!(check("dns", "CAP").await.get("ping").is_none());
    assert_eq!(check("trace", "DEFAULT").await["errcode"], 40202);
    assert_eq!(check("dns", "MOBILE").await["errcode"], 40203);
    let ips = served.get(&format!("/cgi-bin/getcallbackip?access_token={token}")).await;
    assert_eq!(ips["ip_list"][0], "127.0.0.1");

    let told = json!({"told": {"addresses": ["192.0.2.7"], "pings_lost": true, "qr_quota": [1000, 990]}});
    served.post("/control", &told).await;
    let all = check("all", "DEFAULT").await;
    assert_eq!(
        (&all["dns"][0]["ip"], &all["ping"][0]["package_loss"]),
        (&json!("192.0.2.7"), &json!("100%"))
    );
    assert_eq!(quota("/cgi-bin/qrcode/create").await["quota"]["remain"], 10);
}

#[tokio::test]
async fn wechats_clock_can_be_another() {
    let served = serve(Settings::default()).await;
    let ahead = async || {
        let asked = std::time::SystemTime::now();
        let answer = served.http.get(format!("{}/cgi-bin/getcallbackip", served.url)).send().await.unwrap();
        let date = httpdate::parse_http_date(answer.headers()["date"].to_str().unwrap()).unwrap();
        date.duration_since(asked)
            .map_or_else(|behind| -behind.duration().as_secs_f64(), |it| it.as_secs_f64())
    };
    assert!(ahead().await.abs() < 30.0);
    served.simulator.switches().set_told(Told { ahead_s: 3600, ..Told::default() });
    assert!((ahead().await - 3600.0).abs() < 30.0);
    let sealed = served.simulator.seal("<xml/>", "o1");
    let (_, timestamp) = sealed.query.iter().find(|(name, _)| *name == "timestamp").unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(timestamp.parse::<u64>().unwrap() > now + 3500);
}

#[tokio::test]
async fn user_info_has_todays_fields() {
    let told = async |nicknames| {
        let served = serve(Settings { nicknames, languages: nicknames, ..Settings::default() }).await;
        receive(&served.simulator, |_, _| crate::support::ok(""));
        let stranger = served.simulator.invent_person("小明 <b>", false).openid;
        let token = served.stable_token().await;
        let path = format!("/cgi-bin/user/info?access_token={token}&openid={stranger}&lang=zh_CN");
        assert_eq!(served.get(&path).await, json!({"subscribe": 0, "openid": stranger}));
        let code = served.code("abc", 60).await;
        let scanned = served.simulator.scan(&stranger, code["url"].as_str().unwrap()).await;
        scanned.unwrap();
        served.get(&path).await
    };
    let today = told(false).await;
    assert_eq!(today["subscribe"], 1);
    assert_eq!(today["subscribe_scene"], "ADD_SCENE_QR_CODE");
    assert_eq!(today["qr_scene_str"], "abc");
    assert_eq!(today["tagid_list"], json!([]));
    assert!(today.get("nickname").is_none() && today.get("language").is_none());
    let once = told(true).await;
    assert_eq!((&once["nickname"], &once["language"]), (&json!("小明 <b>"), &json!("zh_CN")));
}

#[tokio::test]
async fn faults_come_and_heal() {
    let served = serve(Settings::default()).await;
    let switches = served.simulator.switches();
    switches.fail(Call::QrcodeCreate, Fault::errcode(45009).times(1));
    assert_eq!(served.code("a", 60).await["errcode"], 45009);
    assert!(served.code("a", 60).await["ticket"].is_string());

    let late = Duration::from_millis(50);
    switches.fail(Call::QrcodeCreate, Fault::delay(late));
    let began = Instant::now();
    assert!(served.code("a", 60).await["ticket"].is_string());
    assert!(began.elapsed() >= late);

    switches.fail(Call::QrcodeCreate, Fault::hang_up().times(1));
    let path = format!("{}/cgi-bin/qrcode/create", served.url);
    let hung_up = served.http.post(path).body("{}").send().await.unwrap_err();
    assert!(!hung_up.is_timeout() && hung_up.status().is_none(), "{hung_up:?}");

    let change = json!({"api": {"qrcode_create": null, "stable_token": {"http_status": 502}}});
    let state = served.post("/control", &change).await;
    assert_eq!(state["api"]["stable_token"]["http_status"], 502);
    assert!(state["api"].get("qrcode_create").is_none());
    let url = format!("{}/cgi-bin/stable_token", served.url);
    assert_eq!(served.http.post(url).send().await.unwrap().status(), 502);

    served.post("/control", &json!({"heal_all": true})).await;
    let old = served.stable_token().await;
    served.post("/control", &json!({"expire_tokens": true})).await;
    let path = format!("/cgi-bin/user/info?openid=o1&access_token={old}");
    assert_eq!(errcode(&served, &path, None).await, 42001);
    assert_ne!(served.stable_token().await, old);
    assert_eq!(served.simulator.counters().qr_calls, 4);

    let typing_error = served.http.post(format!("{}/control", served.url));
    let refused = typing_error.body(r#"{"pusch": {}}"#).send().await.unwrap();
    assert_eq!(refused.status(), 400);
}
