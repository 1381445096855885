//! Sites, their keys, and logins inside WeChat.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::Place;

const SITES: &str = "[[site]]\nid = \"shop\"\nname = \"Shop\"\npublic = true\nredirect_uris = [\"https://shop.example/cb\"]\n\
    webhook_url = \"http://shop.invalid/hook\"\nwebhook_key = \"0123456789abcdef0123456789abcdef\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_sites_need_is_looked_at() {
    let mut place = Place::new().await;
    let sites = place.folder.path().join("sites.toml");
    fs::write(&sites, SITES).unwrap();
    let issuer = format!("http://{}", place.settings["CALLBACK_LISTEN"]);
    place.set("CALLBACK_SITES", sites.display().to_string());
    place.set("CALLBACK_PUBLIC_URL", issuer.clone());
    place.set("CALLBACK_BROWSER_URL", format!("http://{}", place.gateway["GATEWAY_LISTEN"]));
    let seen = place.doctor(&["--only", "sites"]);
    seen.has("sites", "error", "/.well-known/openid-configuration", "lead every path");
    place.start_gateway();
    place.start();
    let seen = place.doctor(&["--only", "sites"]);
    seen.has("sites", "warning", "no address was found", "see that the name is right");
    let well = seen.checks("sites").iter().filter(|check| check["result"] == "success").count();
    assert_eq!((well, seen.code), (3, 0), "document, gateway, keys: {:#}", seen.json);

    let keys = place.folder.path().join("callback.keys.json");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    place.doctor(&["--only", "sites"]).has("sites", "warning", "644", "chmod 600");
    let port = place.settings["CALLBACK_LISTEN"].rsplit_once(':').unwrap().1.to_owned();
    place.set("CALLBACK_PUBLIC_URL", format!("http://localhost:{port}"));
    place.doctor(&["--only", "sites"]).has("sites", "error", "it names the issuer", "letter by letter");
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_inside_wechat_need_a_domain_and_its_file() {
    let mut place = Place::new().await;
    let file = place.folder.path().join("MP_verify_aB3.txt");
    fs::write(&file, "aB3").unwrap();
    place.set("CALLBACK_WEB_AUTHORIZATION", "base");
    place.set("CALLBACK_PUBLIC_URL", format!("http://{}", place.settings["CALLBACK_LISTEN"]));
    place.set("CALLBACK_MP_VERIFY", file.display().to_string());
    let seen = place.doctor(&["--only", "web"]);
    seen.has("web", "warning", "http://127.0.0.1", "domain without a port");
    seen.has("web", "error", "MP_verify_aB3.txt", "lead this path to callback-service");
    place.start_gateway();
    place.start();
    let seen = place.doctor(&["--only", "web"]);
    assert!(seen.checks("web").iter().any(|check| check["result"] == "success"), "{:#}", seen.json);
    place.settings.remove("CALLBACK_MP_VERIFY");
    place.set("CALLBACK_PUBLIC_URL", "https://login.example.cn");
    place.doctor(&["--only", "web"]).has("web", "warning", "CALLBACK_MP_VERIFY is not set", "网页授权域名");
}
