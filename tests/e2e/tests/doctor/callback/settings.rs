//! Settings that are wrong, names that are none, languages, and what may be shown to strangers.

use e2e::programs::{output, text};
use tokio::task::block_in_place;

use super::{PROGRAM, Place};

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_setting_is_a_finding_and_a_name_that_is_none_is_pointed_out() {
    let mut place = Place::new().await;
    place.set("WECHAT_TOKN", "atokennevershown");
    place.doctor(&["--only", "settings"]).has(
        "settings",
        "warning",
        "no effect",
        "perhaps WECHAT_TOKEN is meant",
    );
    place.set("CALLBACK_LISTEN", "8080");
    place.set("CALLBACK_DRAIN_TIME", "8");
    place.set("CALLBACK_PROBE_URL", "http://li:hunter2@gateway:1099/?key=hunter2");
    let seen = place.doctor(&["--only", "settings,wechat"]);
    seen.has("settings", "error", "--callback-listen", "docs/settings.md");
    seen.has("settings", "error", "--callback-drain-time", "docs/settings.md");
    assert_eq!(seen.checks("wechat").len(), 0);
    seen.has("settings", "error", "'http://gateway:1099/?…'", "docs/settings.md");
    assert!(!seen.json.to_string().contains("hunter2"), "{:#}", seen.json);
    // Nothing was looked at, which must not look as if all were well.
    let seen = place.doctor(&["--only", "store, wechat", "--wait", "500000000000years"]);
    seen.has("settings", "error", "--callback-drain-time", "docs/settings.md");

    let mut place = Place::new().await;
    place.set("WECHAT_TOKEN", "no good token!");
    place.set("NOTIFY_KEY", "too-short");
    place.set("CALLBACK_SITES", "/nowhere/sites.toml");
    let seen = place.doctor(&[]);
    for named in ["NOTIFY_KEY: ", "WECHAT_TOKEN: must be"] {
        seen.has("settings", "error", named, "docs/settings.md");
    }
    let said = seen.json.to_string();
    assert!(!said.contains("no good token") && !said.contains("too-short"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_flags_are_usage_and_name_what_there_is() {
    let place = Place::new().await;
    for (flags, named) in [
        (
            ["--only", "wechat,nothing"],
            "there is no category \"nothing\"; there are settings, system, wechat",
        ),
        (["--wait", "soon"], "--wait"),
        (["--lang", "fr"], "--lang"),
        (["--url", "nothing"], "--url"),
        (["--url", "https://li:hunter2@id.example.cn/wechat"], "--url: has a user or a password"),
        (["--nothing", "x"], "--nothing"),
    ] {
        let words = [&["doctor"][..], &flags].concat();
        let ended = block_in_place(|| output(PROGRAM, &place.settings, &words));
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(64), "{said}");
        assert!(said.contains(named) && said.trim_end().lines().count() == 1, "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let help = block_in_place(|| output(PROGRAM, &place.settings, &["doctor", "--help"]));
    let said = text(&help.stdout);
    assert!(
        help.status.success() && said.contains("--only") && said.contains("--callback-gateway"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_it_in_their_language() {
    let mut place = Place::new().await;
    let said = |place: &Place, flags: &[&str]| {
        let words = [&["doctor", "--only", "system,store"], flags].concat();
        text(&block_in_place(|| output(PROGRAM, &place.settings, &words)).stdout)
    };
    assert!(said(&place, &[]).contains("√ the disk of CALLBACK_STORE has room: "));
    place.set("LANG", "zh_CN.UTF-8");
    let chinese = said(&place, &[]);
    assert!(
        chinese.contains("√ CALLBACK_STORE 所在磁盘有空间：") && chinese.contains("失败 0 项"),
        "{chinese}"
    );
    assert!(!chinese.contains('\u{1b}'), "there is no terminal");
    assert!(said(&place, &["--lang", "en"]).contains("0 failures"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_may_be_shown_to_strangers() {
    let mut place = Place::new().await;
    let gateway = "gateway.teahouse.example:9999";
    place.set("CALLBACK_GATEWAY", gateway);
    place.set("WECHAT_ORIGINAL_ID", "gh_0123456789ab");
    let words = ["doctor", "--report", "--url", "https://login.teahouse.example/wechat"];
    let ended = block_in_place(|| output(PROGRAM, &place.settings, &words));
    let said = text(&ended.stdout);
    for there in [
        "### callback-service ",
        "CALLBACK_MAX_CONNECTIONS: 100\n",
        "WECHAT_TOKEN: set\n",
        "CALLBACK_GATEWAY: set\n",
    ] {
        assert!(said.contains(there), "{there}: {said}");
    }
    let folder = place.folder.path().display().to_string();
    let secrets = ["WECHAT_APP_SECRET", "WECHAT_TOKEN", "WECHAT_AES_KEY", "NOTIFY_KEY", "WECHAT_APP_ID"];
    let private = secrets.map(|name| place.settings[name].clone()).into_iter();
    for absent in private.chain(["teahouse", "gh_0123456789ab", &folder].map(str::to_owned)) {
        assert!(!said.contains(&absent), "{absent}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_may_be_shown_to_strangers_while_settings_are_wrong() {
    let mut place = Place::new().await;
    let sites = place.folder.path().join("sites.toml");
    let entry = "[[site]]\nid = \"teahouse\"\nname = \"Teahouse\"\nsecret_sha256 = \"nothing\"\n\
                 redirect_uris = [\"https://teahouse.example/back\"]\n";
    std::fs::write(&sites, entry).unwrap();
    place.set("CALLBACK_SITES", sites.to_str().unwrap());
    place.set("CALLBACK_PUBLIC_URL", "https://id.xn--fiqs8s");
    place.set("CALLBACK_BROWSER_URL", "https://login.xn--fiqs8s");
    let report = |place: &Place, told: [&str; 2]| {
        let words = ["doctor", "--report", "--lang", "en", "--url", "https://wechat.teahouse/wechat"];
        let ended = block_in_place(|| output(PROGRAM, &place.settings, &words));
        let said = text(&ended.stdout);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        for there in told {
            assert!(said.contains(there), "{there}: {said}");
        }
        let folder = place.folder.path().display().to_string();
        for absent in ["teahouse", "Teahouse", "xn--fiqs8s", "/home", "secrets/", &folder] {
            assert!(!said.contains(absent), "{absent}: {said}");
        }
    };
    report(&place, ["CALLBACK_SITES: <value ", "secret_sha256"]);
    place.settings.remove("WECHAT_TOKEN");
    place.set("WECHAT_TOKEN_FILE", "/home/li/secrets/token");
    report(&place, ["WECHAT_TOKEN_FILE: set\n", "WECHAT_TOKEN_FILE: <value "]);
}
