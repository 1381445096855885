//! WeChat refuses, counts, and has another time. What both services' doctors share is tried at callback-service's.

use simulator::{Call, Fault, Told};

use super::Place;

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_this_machine_or_of_the_secret_is_named_with_its_cure() {
    let place = Place::new().await;
    let switches = place.wechat.switches();
    for (code, hint) in [
        (40164, "add 203.0.113.7 to the account's IP allowlist"),
        (61004, "add 203.0.113.7 to the account's IP allowlist"),
        (40125, "WECHAT_APP_SECRET is wrong or was reset"),
        (50004, "the notices in the account's console"),
        (45011, "too many calls within a minute"),
        (99999, "global return codes"),
    ] {
        switches.fail(Call::StableToken, Fault::errcode(code));
        let seen = place.doctor(&["--only", "wechat"]);
        seen.has("wechat", "error", &code.to_string(), hint);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_code_shows_what_the_account_may() {
    let place = Place::new().await;
    let switches = place.wechat.switches();
    for (code, hint) in [(48001, "服务号"), (45009, "ten times a month")] {
        switches.fail(Call::QrcodeCreate, Fault::errcode(code));
        let seen = place.doctor(&["--only", "wechat", "--make-qr-code"]);
        seen.has("wechat", "error", &code.to_string(), hint);
        seen.has("wechat", "error", "WeChat saw it come from 127.0.0.1", hint);
        assert_eq!(place.doctor(&["--only", "wechat"]).code, 0, "it is not made unless asked for");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_the_day_is_compared_with_the_budget() {
    let place = Place::new().await;
    let switches = place.wechat.switches();
    for ((limit, used), result, error, hint) in [
        ((100_000, 100_000), "error", "0 of 100000", "midnight"),
        ((100_000, 99_000), "warning", "1000 of 100000", "midnight"),
        ((0, 0), "error", "may make none", "GATEWAY_WAYS"),
        ((10_000, 0), "warning", "GATEWAY_QR_PER_DAY is 90000, and WeChat allows 10000", "to 9000 or less"),
    ] {
        switches.set_told(Told { qr_quota: Some((limit, used)), ..Told::default() });
        place.doctor(&["--only", "wechat"]).has("wechat", result, error, hint);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_told_with_how_much_and_which_way() {
    let place = Place::new().await;
    for (ahead_s, error) in [(3600, "s behind WeChat's"), (-3600, "s ahead of WeChat's")] {
        place.wechat.switches().set_told(Told { ahead_s, ..Told::default() });
        place.doctor(&["--only", "system"]).has("system", "error", error, "timedatectl");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_codes_needs_none() {
    let mut place = Place::new().await;
    place.wechat.switches().set_told(Told { qr_quota: Some((0, 0)), ..Told::default() });
    place.set("GATEWAY_WAYS", "typed");
    let seen = place.doctor(&["--only", "wechat"]);
    assert_eq!((seen.code, place.wechat.counters().quota_calls), (0, 0), "{:#}", seen.json);
}
