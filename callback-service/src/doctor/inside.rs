//! Logins inside WeChat: the domain that WeChat's console has to know, and the files by which it believes that it is ours.

use std::time::Duration;

use doctor::http::{self, Whom};
use doctor::{Category, Sheet, Words};
use url::Url;

use crate::web::settings::{Checked, VerifyFiles};

/// A file may take this long.
const WITHIN: Duration = Duration::from_secs(15);

/// Adds the looks, where there are such logins.
pub(super) fn look(
    category: &mut Category,
    web: Option<&Checked>,
    files: &VerifyFiles,
    public: Option<&Url>,
) {
    let Some(public) = public else { return };
    let host = public.host_str().unwrap_or_default().to_owned();
    if web.is_some() {
        let sheet = Sheet::default();
        domain(&sheet, &host, public, files.names().next().is_some());
        category.found(&sheet);
    }
    for (name, text) in files.all() {
        let Ok(url) = public.join(name) else { continue };
        let (text, name) = (text.to_vec(), name.to_owned());
        category.look(served(&name), WITHIN, move |sheet| {
            let (url, text, name) = (url.clone(), text.clone(), name.clone());
            async move { fetch(&sheet, &url, &text, &name).await }
        });
    }
}

/// Whether the console has the domain cannot be seen from outside. What can be is its form.
fn domain(sheet: &Sheet, host: &str, public: &Url, has_file: bool) {
    let description = Words::new("web authorization has a domain", "网页授权有可用的域名");
    let is_name = public.domain().is_some_and(|domain| domain.contains('.'));
    if !is_name || public.port().is_some() {
        sheet.warning(
            description,
            Words::same(public.as_str()),
            Words::new(
                "WeChat takes a domain without a port alone (a test account also an address); set CALLBACK_PUBLIC_URL to one",
                "微信只接受不带端口的域名（测试号也可用 IP）；请把 CALLBACK_PUBLIC_URL 设为域名",
            ),
        );
        return;
    }
    if !has_file {
        sheet.warning(
            description,
            Words::new(format!("{host}, and CALLBACK_MP_VERIFY is not set"), format!("{host}，未设置 CALLBACK_MP_VERIFY")),
            Words::new(
                format!(
                    "the console believes in {host} (网页授权域名) once it finds its file MP_verify_….txt there: name the file in \
                     CALLBACK_MP_VERIFY, unless the console knows the domain already"
                ),
                format!("后台的“网页授权域名” {host} 需要校验文件 MP_verify_….txt：请在 CALLBACK_MP_VERIFY 中写上它；若后台已登记可忽略"),
            ),
        );
        return;
    }
    sheet.ok_with(
        description,
        Words::new(
            format!("{host}; the console must have it as 网页授权域名, which cannot be seen from here"),
            format!("{host}；后台的“网页授权域名”须填写它，这一点从这里看不到"),
        ),
    );
}

fn served(name: &str) -> Words {
    Words::new(format!("{name} is found at the root"), format!("根路径下能取到 {name}"))
}

async fn fetch(sheet: &Sheet, url: &Url, text: &[u8], name: &str) {
    let found = match http::ask(Whom::Anybody, url, |client, url| client.get(url)).await {
        Ok(answer) if answer.status == 200 && answer.body.as_bytes() == text => {
            sheet.ok_with(served(name), Words::same(url.as_str()));
            return;
        }
        Ok(answer) => Words::new(
            format!("{url}: status {}, {:?}", answer.status, answer.begins()),
            format!("{url}：状态 {}，内容 {:?}", answer.status, answer.begins()),
        ),
        Err(why) => Words::same(format!("{url}: {why}")),
    };
    sheet.failure(
        served(name),
        found,
        Words::new(
            "let the proxy lead this path to callback-service, as it does /wechat, without a redirect",
            "请让反向代理把这个路径也转到 callback-service，不要重定向",
        ),
    );
}
