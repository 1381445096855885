//! Whether what WeChat sends arrives: the verification of the address, and a push of an event that does nothing, both made
//! with the account's own secrets. They are sent to the service on this host, and to the address that WeChat has; what
//! works here and not there is between the two.

use std::sync::Arc;

use doctor::account::of;
use doctor::http::{self, Answer, Whom};
use doctor::{Category, Sheet, Words};
use server::clock::unix_now;
use url::Url;
use wechat::push::{Endpoint, Mode, Rehearsal, Salt};

use super::Patient;
use crate::account::Official;

/// Where a rehearsal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The service on this host, without anything between.
    Here,
    /// The address that WeChat has.
    Public,
}

impl Place {
    fn says(self, en: &str, zh: &str, account: Option<&str>) -> Words {
        let words = match self {
            Self::Here => Words::new(format!("{en} on this host"), format!("{zh}（本机）")),
            Self::Public => Words::new(format!("{en} at the public URL"), format!("{zh}（公网 URL）")),
        };
        of(words, account)
    }

    fn whom(self) -> Whom {
        match self {
            Self::Here => Whom::ThisHost,
            Self::Public => Whom::Anybody,
        }
    }

    fn verified(self, account: Option<&str>) -> Words {
        self.says("the verification of the address is answered", "地址验证有正确回答", account)
    }

    fn pushed(self, account: Option<&str>) -> Words {
        self.says("a push is read and answered", "推送能解读并回复", account)
    }
}

/// Adds the looks at an account's address.
pub(super) fn look(category: &mut Category, patient: &Arc<Patient>, official: &Arc<Official>) {
    let (patient, official) = (Arc::clone(patient), Arc::clone(official));
    let what = Place::Public.verified(official.names.name());
    category.look(what, http::WITHIN, move |sheet| {
        let (patient, official) = (Arc::clone(&patient), Arc::clone(&official));
        async move { both(&sheet, &patient, &official).await }
    });
}

async fn both(sheet: &Sheet, patient: &Patient, official: &Official) {
    let name = official.names.name();
    let path = name.map_or_else(String::new, |name| format!("/{name}"));
    let works_here = match Url::parse(&format!("{}/wechat{path}", patient.here)) {
        Ok(url) => at(sheet, official, &url, Place::Here, false).await,
        Err(_) => false,
    };
    let Some(public) = &patient.public else {
        sheet.warning(
            Place::Public.verified(name),
            Words::new("it is not known", "不知道公网 URL"),
            Words::new(
                "give doctor the URL of WeChat's message push settings: --url https://id.example.cn/wechat",
                "请把微信消息推送的 URL 告诉 doctor：--url https://id.example.cn/wechat",
            ),
        );
        return;
    };
    let public = Url::parse(&format!("{}{path}", public.as_str().trim_end_matches('/')))
        .unwrap_or_else(|_| public.clone());
    port(sheet, &public, name);
    at(sheet, official, &public, Place::Public, works_here).await;
}

/// WeChat sends pushes to two ports alone.
fn port(sheet: &Sheet, url: &Url, account: Option<&str>) {
    let port = url.port_or_known_default().unwrap_or_default();
    if !matches!(port, 80 | 443) {
        sheet.warning(
            of(Words::new("the public URL has a port that WeChat calls", "公网 URL 使用微信支持的端口"), account),
            Words::same(port.to_string()),
            Words::new(
                "WeChat sends pushes to port 80 (http) and 443 (https) alone; give the URL that the console has",
                "微信只向 80（http）和 443（https）端口推送；请使用后台填写的 URL",
            ),
        );
    }
}

/// Rehearses both at a URL; says whether both work there.
async fn at(sheet: &Sheet, official: &Official, url: &Url, place: Place, works_here: bool) -> bool {
    let (endpoint, name) = (&official.account.push, official.names.name());
    let salt = Salt::fresh(unix_now());
    let echo = salt.nonce.repeat(2);
    let mut asked = url.clone();
    asked.set_query(Some(&endpoint.rehearse_verification(&echo, &salt)));
    let description = place.verified(name);
    match http::ask(place.whom(), &asked, |client, url| client.get(url)).await {
        Err(why) => {
            unreached(sheet, description, url, &why, place);
            return false;
        }
        Ok(answer) if answer.status == 200 && answer.body == echo => {
            sheet.ok_with(description, Words::same(url.as_str()));
        }
        Ok(answer) => {
            let (found, hint) = no_echo(&answer, &echo, place, works_here);
            sheet.failure(description, found, hint);
            return false;
        }
    }
    push(sheet, endpoint, url, place, works_here, name).await
}

async fn push(
    sheet: &Sheet,
    endpoint: &Endpoint,
    url: &Url,
    place: Place,
    works_here: bool,
    name: Option<&str>,
) -> bool {
    let salt = Salt::fresh(unix_now());
    let key = salt.nonce.repeat(2);
    let Rehearsal { query, body } = endpoint.rehearse_push(&key, &salt);
    let mut asked = url.clone();
    asked.set_query(Some(&query));
    let description = place.pushed(name);
    let answer = http::ask(place.whom(), &asked, |client, url| {
        client.post(url).header("content-type", "text/xml").body(body)
    });
    match answer.await {
        Err(why) => {
            unreached(sheet, description, url, &why, place);
            false
        }
        Ok(answer) if answer.status == 200 && endpoint.is_rehearsed(&key, &answer.body) => {
            sheet.ok_with(
                description,
                Words::new(format!("{} mode", endpoint.mode()), format!("{} 模式", endpoint.mode())),
            );
            if endpoint.mode() == Mode::Plaintext && place == Place::Here {
                sheet.warning(
                    of(Words::new("pushes are encrypted", "推送已加密"), name),
                    Words::new("WECHAT_MODE is plaintext", "WECHAT_MODE 是 plaintext"),
                    Words::new(
                        "take safe mode (安全模式) in the console and here: a plaintext push's signature does not cover what it \
                         says",
                        "请在后台和本服务都改用安全模式：明文推送的签名不包含内容",
                    ),
                );
            }
            true
        }
        Ok(answer) => {
            let (found, hint) = no_reply(&answer, place, works_here);
            sheet.failure(description, found, hint);
            false
        }
    }
}

fn unreached(sheet: &Sheet, description: Words, url: &Url, why: &str, place: Place) {
    let found = Words::same(format!("{url}: {why}"));
    match place {
        Place::Here => sheet.warning(
            description,
            found,
            Words::new(
                "callback-service does not run on this host, or listens elsewhere (CALLBACK_LISTEN); start it, and look again",
                "本机没有运行 callback-service，或监听在别处（CALLBACK_LISTEN）；请启动后再检查",
            ),
        ),
        Place::Public => sheet.failure(
            description,
            found,
            Words::new(
                "see the DNS record, the firewall of ports 80 and 443, and the proxy with its certificate; WeChat gives up \
                 after 5 s. If only this host cannot reach its own public address, run doctor elsewhere with --url",
                "请检查 DNS 记录、80/443 端口的防火墙、反向代理及其证书；微信只等 5 秒。若只是本机访问不了自己的公网地址，请在别处用 --url 运行 doctor",
            ),
        ),
    }
}

/// What stands between, or who answers instead.
fn no_echo(answer: &Answer, echo: &str, place: Place, works_here: bool) -> (Words, Words) {
    let begins = answer.begins();
    if answer.status == 200 && answer.body.contains(echo) {
        return (
            Words::new(
                format!("the echo comes with more around it: {begins:?}"),
                format!("回答的 echostr 多了内容：{begins:?}"),
            ),
            Words::new(
                "something on the way changes answers: let the proxy pass them on as they are, without a filter, a toolbar or \
                 a byte order mark",
                "中间有东西改动了回答：请让反向代理原样转发，不要加过滤、脚本或 BOM",
            ),
        );
    }
    other(answer).unwrap_or_else(|| match (answer.status, place) {
        (403, Place::Public) if works_here => (
            Words::new(
                "403, though the service on this host answers: the query does not arrive as it was sent, or another instance \
                 with another token answers",
                "403，但本机的服务回答正确：查询参数没有原样到达，或回答的是使用另一个 token 的实例",
            ),
            Words::new(
                "let the proxy pass the query on (nginx: proxy_pass without a path, or with $is_args$args; no rewrite that \
                 ends in ?), and see that it leads to this service",
                "请让反向代理原样转发查询参数（nginx：proxy_pass 不带路径，或加 $is_args$args；rewrite 不要以 ? 结尾），并确认它指向本服务",
            ),
        ),
        (403, _) => (
            Words::new(
                "403: the service that answers has another token, or the query does not arrive as it was sent",
                "403：回答的服务使用另一个 token，或查询参数没有原样到达",
            ),
            Words::new(
                "give the running service this WECHAT_TOKEN and start it anew; else let the proxy pass the query on. Its log \
                 says at which check it refused",
                "请让运行中的服务使用同一个 WECHAT_TOKEN 并重启；否则请让反向代理原样转发查询参数。服务日志会写明是哪一步拒绝的",
            ),
        ),
        _ => (
            Words::new(
                format!("status {} and {begins:?} in place of the echo", answer.status),
                format!("状态 {}，内容 {begins:?}，不是 echostr", answer.status),
            ),
            another(),
        ),
    })
}

fn no_reply(answer: &Answer, place: Place, works_here: bool) -> (Words, Words) {
    other(answer).unwrap_or_else(|| match answer.status {
        200 if answer.body.is_empty() => (
            Words::new(
                "it was taken, and could not be read or has no answer: the service that answers has another WECHAT_AES_KEY, \
                 WECHAT_APP_ID or WECHAT_ORIGINAL_ID than doctor, or is an older version",
                "收到了但无法解读：回答的服务与 doctor 使用的 WECHAT_AES_KEY、WECHAT_APP_ID 或 WECHAT_ORIGINAL_ID 不同，或版本较旧",
            ),
            Words::new(
                "take WECHAT_AES_KEY from the message push settings, give it to the service, and start it anew; its log names \
                 the check that failed (padding: the key; appid: WECHAT_APP_ID)",
                "请从后台消息推送设置取得 WECHAT_AES_KEY，让服务使用它并重启；服务日志会写明是哪一步失败（padding：密钥；appid：WECHAT_APP_ID）",
            ),
        ),
        403 if place == Place::Public && works_here => (
            Words::new(
                "403, though the service on this host answers: the query or the body of POSTs does not arrive as it was sent",
                "403，但本机的服务回答正确：POST 的查询参数或内容没有原样到达",
            ),
            Words::new(
                "let the proxy pass POSTs on as they are, with their query; see whether it redirects or filters them",
                "请让反向代理原样转发 POST 及其查询参数；检查是否有重定向或过滤",
            ),
        ),
        403 => (
            Words::new(
                "403: the service that answers has another WECHAT_MODE than doctor, or the query does not arrive whole",
                "403：回答的服务与 doctor 的 WECHAT_MODE 不同，或查询参数不完整",
            ),
            Words::new(
                "set WECHAT_MODE to the mode of the message push settings, and start the service anew",
                "请把 WECHAT_MODE 设为后台消息推送的加密方式，并重启服务",
            ),
        ),
        503 => (
            Words::new("503: the service is full, or its store does not answer", "503：服务已满，或存储没有回应"),
            Words::new("see the category store, and the service's log", "请看 store 一类的结果和服务日志"),
        ),
        status => (
            Words::new(
                format!("status {status} and {:?} in place of a reply", answer.begins()),
                format!("状态 {status}，内容 {:?}，不是回复", answer.begins()),
            ),
            another(),
        ),
    })
}

fn another() -> Words {
    Words::new(
        "another program answers: let the proxy lead /wechat to callback-service's CALLBACK_LISTEN",
        "回答的是别的程序：请让反向代理把 /wechat 转到 callback-service 的 CALLBACK_LISTEN",
    )
}

/// Answers that come from something between, whatever was asked.
fn other(answer: &Answer) -> Option<(Words, Words)> {
    let Answer { status, location, server, .. } = answer;
    let by = if server.is_empty() { String::new() } else { format!(" ({server})") };
    match status {
        301 | 302 | 303 | 307 | 308 => Some((
            Words::new(
                format!("{status}: a redirect to {location}"),
                format!("{status}：重定向到 {location}"),
            ),
            Words::new(
                "WeChat follows no redirect: enter the last URL in the message push settings, and take the redirect off /wechat",
                "微信不跟随重定向：请在后台填写最终的 URL，并让 /wechat 不再重定向",
            ),
        )),
        404 if answer.body.contains("pushes come to /wechat") => Some((
            Words::new(
                "404: callback-service got it with another path",
                "404：callback-service 收到了，但路径不对",
            ),
            Words::new(
                "let the proxy keep the path /wechat (nginx: proxy_pass without a slash at its end), and end the console's URL \
                 with /wechat, or /wechat/ and the account's name",
                "请让反向代理保留路径 /wechat（nginx：proxy_pass 末尾不加斜杠），后台 URL 以 /wechat 结尾，或 /wechat/ 加账号名",
            ),
        )),
        502 | 504 => Some((
            Words::new(
                format!("{status}: a proxy{by} answers, and does not reach callback-service"),
                format!("{status}：反向代理{by}有回应，但连不上 callback-service"),
            ),
            Words::new(
                "see that callback-service runs, and that the proxy's upstream is its CALLBACK_LISTEN",
                "请确认 callback-service 在运行，反向代理的上游是它的 CALLBACK_LISTEN",
            ),
        )),
        _ if answer.is_page() => Some((
            Words::new(
                format!("status {status} with a page for people{by}: {:?}", answer.begins()),
                format!("状态 {status}，返回的是网页{by}：{:?}", answer.begins()),
            ),
            Words::new(
                "a website, a login wall or a filter answers: lead /wechat to callback-service, and let nothing stand before it",
                "回答的是网站、登录页或防护页面：请把 /wechat 转到 callback-service，前面不要有拦截",
            ),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use doctor::Language;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let (location, server) = ("https://b.example/".to_owned(), "nginx".to_owned());
        Answer { status, location, kind: String::new(), server, body: body.to_owned() }
    }

    #[test]
    fn each_answer_names_what_stands_between_and_its_cure() {
        let words = |(found, hint): (Words, Words)| {
            format!("{} → {}", found.get(Language::En), hint.get(Language::En))
        };
        for (status, body, works_here, named, cure) in [
            (301, "", false, "redirect to https://b.example/", "no redirect"),
            (200, "\u{feff}12", false, "more around it", "byte order mark"),
            (200, "<html>Welcome", false, "a page for people (nginx)", "lead /wechat"),
            (502, "<html>Bad", false, "does not reach callback-service", "upstream"),
            (404, "WeChat's pushes come to /wechat\n", false, "another path", "keep the path"),
            (404, "nothing", false, "status 404", "another program"),
            (403, "", true, "though the service on this host answers", "$is_args$args"),
            (403, "", false, "another token", "WECHAT_TOKEN"),
        ] {
            let told = words(no_echo(&answer(status, body), "12", Place::Public, works_here));
            assert!(told.contains(named) && told.contains(cure), "{status} {body:?}: {told}");
        }
        for (status, body, works_here, named, cure) in [
            (200, "", false, "could not be read", "WECHAT_AES_KEY"),
            (200, "success", false, "in place of a reply", "another program"),
            (403, "", false, "another WECHAT_MODE", "WECHAT_MODE"),
            (403, "", true, "though the service on this host answers", "POSTs"),
            (503, "", false, "its store does not answer", "store"),
        ] {
            let told = words(no_reply(&answer(status, body), Place::Public, works_here));
            assert!(told.contains(named) && told.contains(cure), "{status} {body:?}: {told}");
        }
    }
}
