//! The extension by QR codes: a site asks for one, polls, and redeems.

use serde_json::{Value, json};
use simulator::{Call, Fault};

use crate::client::{File, NOBODY, Site, World, good, new_token};

/// A login that a site has asked for.
pub(crate) struct Login {
    pub(crate) token: String,
    /// The text of the QR code.
    text: String,
}

pub(crate) async fn login(world: &World) -> Login {
    let answer = world.site.create().await;
    assert_eq!((&answer["success"], &answer["message"]), (&json!(true), &json!("")), "{answer}");
    let data = &answer["data"];
    assert_eq!(data["expire_seconds"], 600);
    assert!(data["scene_id"].as_str().unwrap().starts_with("w_"));
    // The site's back end fetches WeChat's picture, and so does its page.
    let picture = data["qrcode_url"].as_str().unwrap();
    let bytes = reqwest::Client::builder().no_proxy().build().unwrap().get(picture).send().await.unwrap();
    let text = e2e::picture::scan(&bytes.bytes().await.unwrap()).unwrap();
    Login { token: data["login_token"].as_str().unwrap().to_owned(), text }
}

pub(crate) async fn scan(world: &World, person: &str, login: &Login) -> String {
    world.stack.wechat.scan(person, &login.text).await.unwrap().reply.expect("the account replies")
}

fn status(status: &str) -> Value {
    json!({ "success": true, "data": { "status": status }, "message": "" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_and_a_yes_log_in_once() {
    let world = World::with("").await;
    let (person, login) = (world.person(), login(&world).await);
    assert_eq!(world.site.status(&login.token).await, status("pending"));
    let question = scan(&world, &person, &login).await;
    assert!(question.contains("「AI 网关」") && question.contains("回复 1"), "{question}");
    assert_eq!(world.site.status(&login.token).await, status("pending"), "a scan is not consent");
    let words = world.says(&person, "1").await;
    assert!(words.contains("欢迎回来"), "{words}");
    let told = world.site.status(&login.token).await;
    let code = told["data"]["auth_code"].as_str().unwrap();
    assert_eq!(told["data"]["status"], "success");
    assert_eq!(told["data"]["wechat_user"], json!({ "openid": person }));
    assert_eq!(world.site.user(code).await, good(&person));
    assert_eq!(world.site.user(code).await, NOBODY, "used");
    assert_eq!(scan(&world, &person, &login).await, words, "a repeat");
    assert_eq!(world.says(&person, "1").await, words, "a repeat");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_and_another_persons_scan_log_nobody_in() {
    let world = World::with("").await;
    let (victim, other, login) = (world.person(), world.person(), login(&world).await);
    scan(&world, &victim, &login).await;
    assert!(scan(&world, &other, &login).await.contains("已经被使用过"));
    let greeting = world.says(&other, "1").await;
    assert!(greeting.contains("打开网站的登录页"), "nothing is asked of them: {greeting}");
    assert!(world.says(&victim, "0").await.contains("已拒绝"));
    assert_eq!(world.site.status(&login.token).await, status("expired"));
    assert!(!world.says(&victim, "1").await.contains("欢迎回来"), "too late");
    assert_eq!(world.site.status(&login.token).await, status("expired"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_may_say_that_a_scan_is_enough_also_by_following() {
    let world = World::with("confirm = false").await;
    let login = login(&world).await;
    let person = world.stack.wechat.invent_person("阿狸", false).openid;
    assert!(scan(&world, &person, &login).await.contains("登录成功"));
    assert_eq!(world.site.status(&login.token).await["data"]["wechat_user"]["openid"], person.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_the_business_of_the_site_that_asked_for_it() {
    let world = World::with("confirm = false").await;
    let (entry, token) = new_token("other");
    let both = std::fs::read_to_string(world.file.path()).unwrap() + &entry;
    let file = File::of(&both);
    let flags = [&*format!("--callback-wechat-server={}", file.path())].map(str::to_owned);
    let options = demo::Options { callback: flags.into(), ..demo::Options::default() };
    let stack = demo::Stack::start(options).await.unwrap();
    let mine = Site::new(stack.callback.pushes, &world.site.token);
    let other = Site::new(stack.callback.pushes, &token);
    let created = mine.create().await;
    let login_token = created["data"]["login_token"].as_str().unwrap();
    let unknown = json!({ "success": false, "data": { "status": "" }, "message": "登录令牌无效或已过期" });
    assert_eq!(other.status(login_token).await, unknown);
    assert_eq!(mine.status(login_token).await, status("pending"));
    for wrong in ["x", &login_token[1..], &"x".repeat(43), "%00"] {
        assert_eq!(mine.status(wrong).await, unknown, "{wrong}");
    }
    assert_eq!(mine.status("").await["message"], "缺少login_token参数");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_wechat_refuses_is_told_in_words() {
    for (errcode, words) in
        [(48001, "没有生成带参数二维码的权限"), (45009, "今天的二维码次数已用完"), (40097, "系统繁忙")]
    {
        let world = World::with("").await;
        world.stack.wechat.switches().fail(Call::QrcodeCreate, Fault::errcode(errcode));
        let answer = world.site.create().await;
        assert_eq!(answer["success"], false);
        assert!(answer["message"].as_str().unwrap().contains(words), "{errcode}: {answer}");
        // Codes that people ask for need no such permission.
        let person = world.person();
        let code = world.code(&person).await;
        assert_eq!(world.site.user(&code).await, good(&person));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateways_login_and_a_sites_do_not_meet() {
    let world = World::with("").await;
    let (person, login) = (world.person(), login(&world).await);
    let mut page = e2e::page::Page::open(world.stack.gateway.browsers).await;
    scan(&world, &person, &login).await;
    let shown = page.code().await;
    world.stack.wechat.scan(&person, &shown.content).await.unwrap();
    page.expect("scanned").await;
    page.expect("scan_success").await;
    assert_eq!(world.site.status(&login.token).await, status("pending"));
    world.says(&person, "1").await;
    assert_eq!(world.site.status(&login.token).await["data"]["status"], "success");
}

/// Whoever reads a question answers that one, and not an older one: a page of a stranger must not get the yes that was meant
/// for another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_is_for_the_question_that_was_asked_last() {
    let world = World::beside("", &["--callback-confirm=true"], &["--gateway-ways=scan,typed"]).await;
    let person = world.person();
    // A login by a typed code is asked about, and then the site's.
    let mut page = e2e::page::Page::open(world.stack.gateway.browsers).await;
    let typed = page.expect("qrcode_url").await["typed"].as_str().unwrap().to_owned();
    assert!(world.says(&person, &typed).await.contains("回复 1"));
    let first = login(&world).await;
    scan(&world, &person, &first).await;
    let push = world.stack.wechat.say_repeated(&person, "1", 2).await.unwrap();
    assert!(push.reply.unwrap().contains("欢迎回来"));
    assert_eq!(world.site.status(&first.token).await["data"]["status"], "success");
    // The login of the page still waits for its own answer.
    let number = loop {
        if let Some(number) = page.expect("scanned").await["number"].as_str() {
            break number.to_owned();
        }
    };
    assert!(world.says(&person, &number).await.contains("欢迎回来"));
    page.expect("scan_success").await;
    // What was answered before is no reason to keep the site's login waiting.
    let second = login(&world).await;
    scan(&world, &person, &second).await;
    world.says(&person, "一").await;
    assert_eq!(world.site.status(&second.token).await["data"]["status"], "success");
    // The other way round.
    let third = login(&world).await;
    scan(&world, &person, &third).await;
    let mut page = e2e::page::Page::open(world.stack.gateway.browsers).await;
    let typed = page.expect("qrcode_url").await["typed"].as_str().unwrap().to_owned();
    world.says(&person, &typed).await;
    for _ in 0..2 {
        assert!(world.says(&person, "1").await.contains("欢迎回来"));
    }
    // The number comes with a second `scanned`, unless the answer was there before the page was told.
    page.expect("scanned").await;
    page.expect_after("scanned", "scan_success").await;
    assert_eq!(world.site.status(&third.token).await, status("pending"));
}
