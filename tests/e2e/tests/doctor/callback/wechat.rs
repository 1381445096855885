//! WeChat refuses, is slow, or is not there; and this machine's clock is wrong.

use std::time::Duration;

use simulator::{Call, Fault, Told};

use super::Place;

fn bad_gateway() -> Fault {
    Fault { http_status: Some(502), ..Fault::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_wechats_refusals_is_named_with_its_cure() {
    let place = Place::new().await;
    let switches = place.wechat.switches();
    let (token, quota) = (Call::StableToken, Call::QuotaGet);
    for (call, fault, result, found, cure) in [
        (token, Fault::errcode(40164), "error", "40164", "add 203.0.113.7 to the account's IP allowlist"),
        (token, Fault::errcode(40001), "error", "40001", "WECHAT_APP_SECRET is not the one of WECHAT_APP_ID"),
        (token, Fault::errcode(40125), "error", "40125", "WECHAT_APP_SECRET is wrong or was reset"),
        (token, Fault::errcode(40013), "error", "40013", "WECHAT_APP_ID is not an official account's appid"),
        (token, Fault::errcode(40243), "error", "40243", "unfreeze it in the console"),
        (token, Fault::errcode(89503), "error", "89503", "administrator to confirm this machine's address"),
        (token, Fault::errcode(45009), "error", "45009", "until tomorrow"),
        (token, Fault::errcode(50002), "error", "50002", "banned or frozen"),
        (token, Fault::errcode(-1), "error", "-1", "look again in a minute"),
        (token, Fault::hang_up(), "error", "broke", "HTTPS_PROXY"),
        (token, bad_gateway(), "error", "HTTP status 502", "HTTPS_PROXY"),
        (token, Fault::delay(Duration::from_secs(20)), "error", "did not answer", "slow or drops packets"),
        (quota, Fault::errcode(48001), "warning", "48001", "verified service account (服务号)"),
        (quota, Fault::errcode(40001), "warning", "40001", "cgi-bin/stable_token"),
    ] {
        switches.fail(call, fault);
        let seen = place.doctor(&["--only", "wechat"]);
        seen.has("wechat", result, found, cure);
        switches.heal(call);
    }
    place.doctor(&["--only", "wechat"]).is_well("wechat");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_ends_and_a_clock_that_is_wrong_are_told() {
    let place = Place::new().await;
    let switches = place.wechat.switches();
    for (made, result, cure) in
        [(100_000, "error", "midnight, China's time"), (95_000, "warning", "until midnight")]
    {
        switches.set_told(Told { qr_quota: Some((100_000, made)), ..Told::default() });
        let found = format!("{} of 100000", 100_000 - made);
        place.doctor(&["--only", "wechat"]).has("wechat", result, &found, cure);
    }
    switches.set_told(Told { qr_quota: Some((0, 0)), ..Told::default() });
    place.doctor(&["--only", "wechat"]).has("wechat", "error", "may make none", "服务号");
    for (ahead_s, result, found) in [
        (-300, "error", "s ahead of WeChat's"),
        (300, "error", "s behind WeChat's"),
        (20, "warning", "s behind WeChat's"),
    ] {
        switches.set_told(Told { ahead_s, ..Told::default() });
        place.doctor(&["--only", "system"]).has("system", result, found, "timedatectl set-ntp true");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_not_there_is_told() {
    let mut place = Place::new().await;
    place.set("WECHAT_API_URL", "http://127.0.0.1:1");
    place.doctor(&["--only", "wechat"]).has("wechat", "error", "could not be reached", "firewall");
    place.set("WECHAT_API_URL", "http://no-such-host.invalid");
    let seen = place.doctor(&["--only", "wechat"]);
    seen.has("wechat", "error", "no address was found", "/etc/resolv.conf");
}
