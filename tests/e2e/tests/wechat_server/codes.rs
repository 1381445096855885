//! A person asks for a code in the chat, and types it on the site's page.

use crate::client::{NO_CODE, NOBODY, World, digits, good};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_logs_in_by_a_code_once_and_is_called_by_the_openid() {
    let world = World::with("").await;
    let person = world.person();
    let reply = world.says(&person, "验证码").await;
    assert!(reply.contains("3 分钟"), "{reply}");
    let code = digits(&reply);
    assert_eq!(code.len(), 6);
    assert_eq!(world.site.user(&code).await, good(&person));
    assert_eq!(world.site.user(&code).await, NOBODY, "used");

    // The next login has another code and the same name.
    let again = world.code(&person).await;
    assert_ne!(again, code);
    assert_eq!(world.site.user(&again).await, good(&person));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_code_of_anybody_is_answered_as_wechat_server_answers() {
    let world = World::with("").await;
    for path in ["/api/wechat/user", "/api/wechat/user?code=", "/api/wechat/user?code=%20%E3%80%80"] {
        assert_eq!(world.site.get(path).await, NO_CODE, "{path}");
    }
    let long = "9".repeat(5_000);
    for code in
        ["000000", "12345", "1234567", "abcdef", "验证码", "%00%ff", "w_0123456789012345678901", &long]
    {
        assert_eq!(world.site.user(code).await, NOBODY, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_words_are_read_as_people_type_them_and_so_is_the_code() {
    let world = World::of("", &["--callback-code-words=验证码,login"]).await;
    let person = world.person();
    for asking in ["验证码", " 「验证码」。", "验证码\n", "Login"] {
        digits(&world.says(&person, asking).await);
    }
    for other in ["我没收到验证码", "验证", "48291", "1", "0"] {
        let reply = world.says(&person, other).await;
        assert!(reply.contains("打开网站的登录页"), "{other}: {reply}");
    }
    let reply = world.says(&person, "482913").await;
    assert!(reply.contains("验证码不对"), "a login's page could show it: {reply}");
    let code = world.code(&person).await;
    let full_width: String =
        code.chars().map(|digit| char::from_u32(u32::from(digit) + 0xfee0).unwrap()).collect();
    assert_eq!(world.site.user(&format!("%20{full_width}")).await, good(&person));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_push_brings_no_second_code_and_a_new_request_ends_the_old_one() {
    let world = World::with("").await;
    let (person, other) = (world.person(), world.person());
    let pushed = world.stack.wechat.say_repeated(&person, "验证码", 2).await.unwrap();
    let replies: Vec<_> = pushed.attempts.iter().map(|attempt| attempt.reply.clone().unwrap()).collect();
    assert_eq!(replies.len(), 2);
    assert_eq!(replies[0], replies[1]);
    let (first, others) = (digits(&replies[0]), world.code(&other).await);
    let second = world.code(&person).await;
    assert_eq!(world.site.user(&first).await, NOBODY, "replaced");
    assert_eq!(world.site.user(&second).await, good(&person));
    assert_eq!(world.site.user(&others).await, good(&other), "somebody else's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_unfollows_has_no_code_any_more() {
    let world = World::with("").await;
    let person = world.person();
    let code = world.code(&person).await;
    world.stack.wechat.unfollow(&person).await.unwrap();
    assert_eq!(world.site.user(&code).await, NOBODY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_digits_are_a_setting() {
    let world = World::of("", &["--callback-code-digits=8", "--callback-text-code={code}:{minutes}"]).await;
    let person = world.person();
    let reply = world.says(&person, "验证码").await;
    let (code, minutes) = reply.split_once(':').unwrap();
    assert_eq!((code.len(), minutes), (8, "3"));
    assert_eq!(world.site.user(code).await, good(&person));
}

/// WeChat's console at an operator who comes from wechat-server says /api/wechat.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_may_come_to_wechat_servers_own_path() {
    let world = World::with("").await;
    world.stack.wechat.set_push_url(format!("http://{}/api/wechat", world.stack.callback.pushes));
    let person = world.person();
    let code = world.code(&person).await;
    assert_eq!(world.site.user(&code).await, good(&person));
}
