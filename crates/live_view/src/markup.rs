//! The page as HTML. Whatever anybody wrote becomes text in it.

use std::time::{Duration, SystemTime};

use askama::Template;
use login_page::Language;

use crate::state::{Body, Series, State, unix};
use crate::words::{age, either, units};

/// The style, at `live.css` beside the page.
pub(crate) const STYLE: &str = include_str!("../page/live.css");

/// The script, at `live.js` beside the page.
pub(crate) const SCRIPT: &str = include_str!("../page/live.js");

/// What the pages may run and load: nothing but what the port itself has.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The height of a bar at its most, in units of its picture.
const HIGH: u64 = 24;

/// The page.
#[derive(Template)]
#[template(path = "view.html")]
pub(crate) struct View<'a> {
    pub(crate) program: &'a str,
    pub(crate) language: Language,
    /// What came of what the viewer did; empty where they did nothing.
    pub(crate) said: &'a str,
    /// What a form has to bring back; `None` for a viewer without a session.
    pub(crate) form: Option<&'a str>,
    /// Why they can only look; empty where they can act.
    pub(crate) only_looks: &'a str,
    pub(crate) state: &'a State,
    pub(crate) now: SystemTime,
}

/// The page that asks for the token.
#[derive(Template)]
#[template(path = "enter.html")]
pub(crate) struct Enter<'a> {
    pub(crate) program: &'a str,
    pub(crate) language: Language,
    pub(crate) setting: &'a str,
    /// What was wrong; empty at first.
    pub(crate) said: &'a str,
}

impl View<'_> {
    fn either(&self, zh: &'static str, en: &'static str) -> &'static str {
        either(self.language, zh, en)
    }

    fn units(&self) -> &'static str {
        units(self.language)
    }

    /// Enough of a login's id to find it again.
    fn short<'l>(&self, login: &'l str) -> &'l str {
        login.get(..8).unwrap_or(login)
    }

    /// How long ago something was.
    fn age(&self, since: &u64) -> String {
        age(Duration::from_secs(unix(self.now).saturating_sub(*since)), self.language)
    }
}

impl Enter<'_> {
    fn either(&self, zh: &'static str, en: &'static str) -> &'static str {
        either(self.language, zh, en)
    }
}

/// A bar: where it begins at the left and at the top, and its height.
type Bar = (u64, u64, u64);

/// The bars of one of these series, all drawn to one scale.
fn bars(of: &Series, all: &[Series]) -> Vec<Bar> {
    let most = all.iter().flat_map(|series| &series.minutes).max().copied().unwrap_or_default().max(1);
    let height = |count: u64| (count * HIGH).div_ceil(most).min(HIGH);
    (0..).zip(&of.minutes).map(|(at, count)| (at * 8, HIGH - height(*count), height(*count))).collect()
}

/// The counts, as they are read out.
fn counts(series: &Series) -> String {
    series.minutes.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::state::{Cell, Row, Section, Tone};

    const MARKUP: &str = "</td><script>\"&'";

    fn page(language: Language, form: Option<&str>) -> String {
        let now = SystemTime::now();
        let section =
            |id, body| Section { id, title: MARKUP.to_owned(), note: String::new(), wide: true, body };
        let series = |minutes| Series { name: MARKUP.to_owned(), tone: Tone::Good, minutes };
        let state = State {
            sections: vec![
                section(
                    "process",
                    Body::Facts {
                        facts: vec![(MARKUP.to_owned(), Cell::since(now - Duration::from_secs(61)))],
                    },
                ),
                section("rates", Body::Rates { series: vec![series(vec![0, 3, 6]), series(vec![0, 0, 12])] }),
                section(
                    "logins",
                    Body::Table {
                        columns: vec![MARKUP.to_owned(), String::new()],
                        rows: vec![Row {
                            cells: vec![Cell::text(MARKUP).tone(Tone::Code), Cell::end("0123abcd")],
                        }],
                        empty: MARKUP.to_owned(),
                    },
                ),
                section(
                    "none",
                    Body::Table {
                        columns: vec![MARKUP.to_owned()],
                        rows: Vec::new(),
                        empty: MARKUP.to_owned(),
                    },
                ),
            ],
        };
        let state = if form.is_some() { state } else { state.without_acts() };
        let page = View {
            program: "ws-gateway",
            language,
            said: MARKUP,
            form,
            only_looks: MARKUP,
            state: &state,
            now,
        };
        page.render().unwrap()
    }

    #[test]
    fn whatever_anybody_wrote_is_text() {
        let page = page(Language::English, Some(MARKUP));
        assert!(!page.contains(MARKUP), "{page}");
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        let enter = Enter { program: "x", language: Language::English, setting: MARKUP, said: MARKUP }
            .render()
            .unwrap();
        assert!(!enter.contains(MARKUP) && !enter.contains("<script"), "{enter}");
    }

    #[test]
    fn the_page_says_everything_without_its_script() {
        let chinese = page(Language::Chinese, None);
        for part in [">1 分钟</time>", "lang=\"zh-CN\"", "<td data-label=", "href=\"?lang=en\""] {
            assert!(chinese.contains(part), "{part}: {chinese}");
        }
        assert!(!chinese.contains("action=\"end\"") && !chinese.contains("action=\"leave\""), "{chinese}");
        let english = page(Language::English, Some("f0rm"));
        for part in [
            ">1 min</time>",
            "<input type=\"hidden\" name=\"login\" value=\"0123abcd\">",
            "<input type=\"hidden\" name=\"form\" value=\"f0rm\">",
            "action=\"leave\"",
        ] {
            assert!(english.contains(part), "{part}: {english}");
        }
    }

    #[test]
    fn bars_have_one_scale_and_what_happened_once_is_seen() {
        let series =
            |minutes: &[u64]| Series { name: String::new(), tone: Tone::Good, minutes: minutes.into() };
        let all = [series(&[0, 1, 240]), series(&[120])];
        assert_eq!(bars(&all[0], &all), [(0, 24, 0), (8, 23, 1), (16, 0, 24)]);
        assert_eq!(bars(&all[1], &all), [(0, 12, 12)]);
        assert_eq!(bars(&series(&[0]), &[series(&[0])]), [(0, 24, 0)]);
    }

    #[test]
    fn nothing_in_the_pages_needs_more_than_the_policy_allows() {
        let page = page(Language::English, Some("f"));
        assert!(
            !page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick"),
            "{page}"
        );
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("eval(") && !SCRIPT.contains(".style."));
    }
}
