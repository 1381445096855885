//! Settings, clients, the store, and what may be shown to strangers.

use e2e::programs::{output, text};
use test_redis::{Options, Redis};
use tokio::task::block_in_place;

use super::{PROGRAM, Place};

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_setting_is_a_finding_and_no_secret_is_shown() {
    let mut place = Place::new().await;
    place.set("GATEWAY_LOGIN_TTL", "soon");
    place.set("GATEWAY_MAX_PAGES", "many");
    let seen = place.doctor(&[]);
    seen.has("settings", "error", "GATEWAY_LOGIN_TTL: ", "docs/settings.md");
    seen.has("settings", "error", "GATEWAY_MAX_PAGES: ", "docs/settings.md");
    // Nothing was looked at, which must not look as if all were well.
    let seen = place.doctor(&["--only", "wechat, store"]);
    seen.has("settings", "error", "GATEWAY_LOGIN_TTL: ", "docs/settings.md");

    let mut place = Place::new().await;
    place.set("NOTIFY_KEY", "too-short-a-key");
    place.set("WECHAT_ACCOUNTS", "/nowhere/accounts.toml");
    place.set("GATEWAY_NOTIFY_TLS_CERT", "/nowhere/gateway.pem");
    place.set("WECHAT_APPSECRET", "a-secret-in-the-wrong-place");
    let seen = place.doctor(&[]);
    for name in ["NOTIFY_KEY", "WECHAT_ACCOUNTS", "GATEWAY_NOTIFY_TLS_KEY"] {
        seen.has("settings", "error", name, "docs/settings.md");
    }
    seen.has("settings", "warning", "WECHAT_APPSECRET; it has no effect", "WECHAT_APP_SECRET is meant");
    let said = seen.json.to_string();
    for secret in ["too-short-a-key", "a-secret-in", &place.settings["WECHAT_APP_SECRET"]] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_category_is_answered_by_all_their_names() {
    let place = Place::new().await;
    let ended = block_in_place(|| output(PROGRAM, &place.settings, &["doctor", "--only", "wechat,gatway"]));
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(64), "{said}");
    assert!(
        said.contains("gatway")
            && said.contains("settings, system, wechat, gateway, browsers, store, certificates"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_expired_is_named() {
    let mut place = Place::new().await;
    let folder = tempfile::tempdir().unwrap();
    let clients = folder.path().join("clients.toml");
    let entry = "[[client]]\nname = \"shop\"\nkeys = [\"the shop's key, of 32 bytes or more\"]\nmay = [\"scan\"]\n\
                 expires = 2020-01-01T00:00:00Z\n";
    std::fs::write(&clients, entry).unwrap();
    place.set("GATEWAY_NOTIFY_CLIENTS", clients.to_str().unwrap());
    let seen = place.doctor(&["--only", "gateway"]);
    seen.has("gateway", "error", "it has expired", "ws-gateway client-key shop");
    assert!(
        seen.checks("gateway").iter().any(|it| it["description"] == "the client callback may send notices")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_full_or_forgetful_is_told() {
    let mut place = Place::new().await;
    place.set("GATEWAY_STORE", "redis://127.0.0.1:1");
    place.doctor(&["--only", "store"]).has("store", "error", "127.0.0.1:1", "GATEWAY_STORE");
    let redis = Redis::start_with(Options { maxmemory: Some(64 * 1024 * 1024), ..Options::default() }).await;
    place.set("GATEWAY_STORE", redis.url());
    place.doctor(&["--only", "store"]).is_well("store");
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    place.doctor(&["--only", "store"]).has("store", "warning", "allkeys-lru", "noeviction");
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]).await;
    place.doctor(&["--only", "store"]).has("store", "error", "OOM", "maxmemory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_has_nothing_that_a_stranger_may_not_see() {
    let mut place = Place::new().await;
    place.set("GATEWAY_TITLE", "Example Corporation");
    place.set("GATEWAY_WEB_URL", "https://id.corporation.example");
    place.set("GATEWAY_STORE", "redis://saoma:hunter2@cache.corporation.internal");
    place.set("WECHAT_API_URL", "http://wechat.corporation.internal");
    let ended = block_in_place(|| output(PROGRAM, &place.settings, &["doctor", "--report", "--lang", "en"]));
    let report = text(&ended.stdout);
    assert_eq!(ended.status.code(), Some(1), "{report}");
    for there in [
        "ws-gateway ",
        "GATEWAY_MAX_PAGES: 100\n",
        "GATEWAY_TITLE: set\n",
        "NOTIFY_KEY: set\n",
        "has an address",
    ] {
        assert!(report.contains(there), "{there}: {report}");
    }
    let private = [
        "corporation",
        "Corporation",
        "hunter2",
        &place.settings["WECHAT_APP_ID"],
        &place.settings["NOTIFY_KEY"],
    ];
    for absent in private {
        assert!(!report.contains(absent), "{absent}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_of_the_operators_language() {
    let mut place = Place::new().await;
    let say = |place: &Place, flags: &[&str]| {
        let words = [&["doctor", "--only", "settings,store"], flags].concat();
        text(&block_in_place(|| output(PROGRAM, &place.settings, &words)).stdout)
    };
    assert!(say(&place, &[]).contains("√ logins can be kept: in the gateway's own memory"));
    place.set("LANG", "zh_CN.UTF-8");
    let chinese = say(&place, &[]);
    assert!(chinese.contains("√ 登录可以保存：在网关自己的内存中"), "{chinese}");
    assert!(chinese.ends_with("√ 正常 3 项，警告 0 项，失败 0 项\n"), "{chinese}");
    assert!(say(&place, &["--lang", "en"]).contains("√ logins can be kept"));
}
