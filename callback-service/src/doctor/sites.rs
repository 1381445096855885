//! What sites need: the issuer as they read it, the gateway that their pages open, keys that can sign, and back ends that can
//! be told.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use doctor::http::{self, Whom};
use doctor::wechat_api::{look_up, no_address};
use doctor::{Category, Sheet, Words};
use serde_json::Value;
use server::clock::unix_now;
use url::Url;

use crate::provider::keys;
use crate::provider::settings::Checked;

/// A look at one address may take this long.
const WITHIN: Duration = Duration::from_secs(20);

const DAY: u64 = 24 * 3600;

/// Adds the looks, where there are sites.
pub(super) fn look(category: &mut Category, sites: Option<&Checked>) {
    let Some(sites) = sites else { return };
    let issuer = sites.issuer().to_owned();
    category.look(discovered(), WITHIN, move |sheet| {
        let issuer = issuer.clone();
        async move { discover(&sheet, &issuer).await }
    });
    let gateway = sites.gateway().to_owned();
    category.look(opened(), WITHIN, move |sheet| {
        let gateway = gateway.clone();
        async move { open(&sheet, &gateway).await }
    });
    let sheet = Sheet::default();
    if let Some(path) = sites.key_file() {
        keys_of(&sheet, path, sites.key_age(), sites.renews_keys());
    }
    category.found(&sheet);
    for (site, key, url) in sites.back_ends() {
        let what = reached(&site, key);
        category.look(what, WITHIN, move |sheet| {
            let (site, url) = (site.clone(), url.clone());
            async move { resolve(&sheet, &site, key, &url).await }
        });
    }
}

fn discovered() -> Words {
    Words::new("sites find the issuer's document", "站点能取到 issuer 的发现文档")
}

async fn discover(sheet: &Sheet, issuer: &str) {
    let Ok(url) = Url::parse(&format!("{issuer}/.well-known/openid-configuration")) else { return };
    let hint = || {
        Words::new(
            "let the proxy lead every path of CALLBACK_PUBLIC_URL to callback-service, and see that its certificate is good; if \
             only this host cannot reach its own public address, that is no fault",
            "请让反向代理把 CALLBACK_PUBLIC_URL 的所有路径转到 callback-service，并检查证书；若只是本机访问不了自己的公网地址，可忽略",
        )
    };
    match http::ask(Whom::Anybody, &url, |client, url| client.get(url)).await {
        Ok(answer) if answer.status == 200 => {
            let document: Value = serde_json::from_str(&answer.body).unwrap_or_default();
            match document["issuer"].as_str() {
                Some(named) if named == issuer => sheet.ok_with(discovered(), Words::same(url.as_str())),
                Some(named) => sheet.failure(
                    discovered(),
                    Words::new(format!("it names the issuer {named:?}"), format!("其中的 issuer 是 {named:?}")),
                    Words::new(
                        format!("sites compare it letter by letter with {issuer}: start the service with this CALLBACK_PUBLIC_URL"),
                        format!("站点会与 {issuer} 逐字比较：请让服务使用这个 CALLBACK_PUBLIC_URL"),
                    ),
                ),
                None => sheet.failure(
                    discovered(),
                    Words::same(format!("{url}: {:?}", answer.begins())),
                    hint(),
                ),
            }
        }
        Ok(answer) => sheet.failure(
            discovered(),
            Words::same(format!("{url}: {} {:?}", answer.status, answer.begins())),
            hint(),
        ),
        Err(why) => sheet.failure(discovered(), Words::same(format!("{url}: {why}")), hint()),
    }
}

fn opened() -> Words {
    Words::new("login pages reach the gateway", "登录页能访问网关")
}

async fn open(sheet: &Sheet, gateway: &str) {
    let Ok(url) = Url::parse(gateway) else { return };
    let hint = || {
        Words::new(
            "CALLBACK_BROWSER_URL is the gateway's GATEWAY_LISTEN as browsers reach it, through its own proxy",
            "CALLBACK_BROWSER_URL 是浏览器访问网关 GATEWAY_LISTEN 的地址，经过它自己的反向代理",
        )
    };
    match http::ask(Whom::Anybody, &url, |client, url| client.get(url)).await {
        Ok(answer) if answer.status < 400 => sheet.ok_with(opened(), Words::same(gateway)),
        Ok(answer) => sheet.warning(
            opened(),
            Words::same(format!("{gateway}: {} {:?}", answer.status, answer.begins())),
            hint(),
        ),
        Err(why) => sheet.warning(opened(), Words::same(format!("{gateway}: {why}")), hint()),
    }
}

fn keys_of(sheet: &Sheet, path: &Path, age: Duration, renews: bool) {
    let description = Words::new("tokens can be signed", "可以签发令牌");
    if !path.exists() {
        sheet.ok_with(description, Words::new("the keys are made at the start", "启动时会生成密钥"));
        return;
    }
    let chain = match keys::file::read(path) {
        Ok(chain) => chain,
        Err(problem) => {
            sheet.failure(
                description,
                Words::same(problem),
                Words::new(
                    "CALLBACK_SIGNING_KEYS must name the file that callback-service rotate-key makes, the same on every host",
                    "CALLBACK_SIGNING_KEYS 必须指向 callback-service rotate-key 生成的文件，各主机相同",
                ),
            );
            return;
        }
    };
    let seconds = unix_now().saturating_sub(chain.signs_since());
    let days = seconds / DAY;
    let found =
        Words::new(format!("the present key is {days} days old"), format!("当前密钥已使用 {days} 天"));
    match renews || seconds <= age.as_secs() {
        true => sheet.ok_with(description, found),
        false => sheet.warning(
            description,
            found,
            Words::new(
                "with Redis nobody renews it by itself: run callback-service rotate-key, and copy the file to every host",
                "使用 Redis 时密钥不会自动更换：请运行 callback-service rotate-key，并把文件复制到每台主机",
            ),
        ),
    }
    let mode = std::fs::metadata(path).map_or(0, |about| about.permissions().mode() & 0o777);
    if mode & 0o007 != 0 {
        sheet.warning(
            Words::new("the signing keys are private", "签名密钥不对外人开放"),
            Words::same(format!("{}: {mode:o}", path.display())),
            Words::new(
                format!("whoever reads them can log in as anybody: chmod 600 {}", path.display()),
                format!("读到它的人可以冒充任何人登录：chmod 600 {}", path.display()),
            ),
        );
    }
}

fn reached(site: &str, key: &str) -> Words {
    Words::new(format!("{key} of the site {site} can be reached"), format!("站点 {site} 的 {key} 可以访问"))
}

/// Nothing is sent to a site: it might take it for an event.
async fn resolve(sheet: &Sheet, site: &str, key: &str, url: &str) {
    let description = reached(site, key);
    let Some((host, port)) =
        Url::parse(url).ok().and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?)))
    else {
        return;
    };
    match look_up(&format!("{host}:{port}")).await {
        Err(why) => sheet.warning(description, why, no_address()),
        Ok(_) if url.starts_with("http://") => sheet.warning(
            description,
            Words::same(format!("http://{host}:{port}")),
            Words::new(
                "plain http shows everybody on the way who logs in; take https unless it is a host of your own network",
                "明文 http 会让沿途看到谁在登录；除非是自己内网的主机，否则请用 https",
            ),
        ),
        Ok(_) => sheet.ok_with(description, Words::same(format!("{host}:{port}"))),
    }
}
