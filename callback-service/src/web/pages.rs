//! The pages of a login inside WeChat. None has a script, and none can be put into a frame.

use askama::Template;
use http::StatusCode;
use login_page::Language;
use server::http::Response;

use super::words::{Mark, Words};
use crate::logins::confirmation::Question;
use crate::provider::pages::small;

/// A link below the words: its id, its words, where it leads.
pub(super) type Link = (&'static str, String, String);

/// Says something, and offers where to go on.
pub(super) fn say(status: StatusCode, words: Words, links: Vec<Link>, language: Language) -> Response {
    let (title, state) = (words.title(language), words.mark.state());
    small(status, &Said { language, state, title, words: words.words(language), links })
}

/// A link to try once more.
pub(super) fn again(href: String, language: Language) -> Link {
    ("again", in_either(language, "再试一次", "Try again").to_owned(), href)
}

/// A link that goes on to WeChat: the tap that it wants.
pub(super) fn go(href: String, language: Language) -> Link {
    ("go", in_either(language, "继续", "Go on").to_owned(), href)
}

/// A link back to a site.
pub(super) fn back_to(site: &str, href: String, language: Language) -> Link {
    ("back", format!("{} {site}", in_either(language, "返回", "Back to")), href)
}

/// A link back to the login page in the same browser.
pub(super) fn back(href: String, language: Language) -> Link {
    ("back", in_either(language, "回到登录页", "Back to the login page").to_owned(), href)
}

/// Asks whether the person wants the login of `question`: by `numbers`, of which they choose one, or by a button.
pub(super) fn ask(
    question: &Question,
    numbers: &[String],
    visit: &str,
    page: Option<String>,
    language: Language,
) -> Response {
    let zh = language == Language::Chinese;
    let title = match (question.site.as_str(), language) {
        ("", Language::Chinese) => "请求登录".to_owned(),
        ("", Language::English) => "A page asks to log you in".to_owned(),
        (site, Language::Chinese) => format!("{site} 请求登录"),
        (site, Language::English) => format!("{site} asks to log you in"),
    };
    let browser = [&question.browser, &question.system].into_iter().flatten().cloned();
    let time = match zh {
        true => question.time(),
        false => format!("{} (China)", question.time()),
    };
    let facts = [
        (in_either(language, "网站", "Site"), question.site.clone()),
        (in_either(language, "浏览器", "Browser"), browser.collect::<Vec<_>>().join(" · ")),
        (in_either(language, "地点", "Place"), question.place.clone()),
        (in_either(language, "时间", "Time"), time),
    ];
    let facts = facts.into_iter().filter(|(_, fact)| !fact.is_empty()).collect();
    let (words, care) = match numbers.is_empty() {
        true => (
            in_either(language, "是你自己打开的登录页吗？", "Did you open that login page yourself?"),
            in_either(
                language,
                "如果二维码或链接是别人发给你的，请选择“不是我”。",
                "If somebody sent you the code or a link, choose “Not me”.",
            ),
        ),
        false => (
            in_either(language, "登录页上显示的是哪个数字？", "Which number does the login page show?"),
            in_either(
                language,
                "只能选一次。如果看不到登录页，或者二维码、链接是别人发给你的，请选择“不是我”。",
                "You have one choice. If you do not see that page, or somebody sent you the code or a link, choose “Not me”.",
            ),
        ),
    };
    let page = page.filter(|_| !numbers.is_empty()).map(|href| {
        (in_either(language, "回到登录页看数字", "Go back to the login page to see the number"), href)
    });
    small(
        StatusCode::OK,
        &Ask {
            language,
            state: Mark::Asks.state(),
            title,
            facts,
            words,
            care,
            visit,
            numbers,
            yes: in_either(language, "确认登录", "Log in"),
            no: in_either(language, "不是我", "Not me"),
            page,
        },
    )
}

fn in_either(language: Language, zh: &'static str, en: &'static str) -> &'static str {
    match language {
        Language::Chinese => zh,
        Language::English => en,
    }
}

#[derive(Template)]
#[template(path = "inside_said.html")]
struct Said {
    language: Language,
    state: &'static str,
    title: &'static str,
    words: &'static str,
    links: Vec<Link>,
}

#[derive(Template)]
#[template(path = "inside_question.html")]
struct Ask<'a> {
    language: Language,
    state: &'static str,
    title: String,
    facts: Vec<(&'static str, String)>,
    words: &'static str,
    care: &'static str,
    visit: &'a str,
    numbers: &'a [String],
    yes: &'static str,
    no: &'static str,
    page: Option<(&'static str, String)>,
}
