//! A login in the site's own page. `/widget` has the widget as three lines of HTML, and `/mount` as a script of the
//! site mounts it. Both bring the code to `/login/saoma` by a form.
//!
//! Two things bind that form to the browser. Its token is in a cookie too, which no page of another site can write; and
//! the nonce, which the ID token has to repeat, is kept here under the browser's cookie.

use std::collections::HashMap;

use hyper::body::Incoming;
use server::http::{self as web, Response};

use super::entries::Entry;
use super::openid::{Trouble, random};
use super::page::{self, WidgetPage};
use super::{
    Asked, BODY_WITHIN, BROWSER, ExampleSite, MAX_BODY, Session, Way, keep, set_cookie, set_readable_cookie,
};

/// The field of the form, and the cookie of the same name, whose values must be the same.
const TOKEN: &str = "saoma_csrf_token";

/// How a page holds the widget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As HTML alone; the widget sends the form by itself.
    Declared,
    /// By a script of the site.
    Mounted,
}

/// What the site keeps of a browser whose page has the widget: one nonce for each entry, until somebody logs in.
pub(super) type Nonces = HashMap<String, String>;

impl ExampleSite {
    pub(super) fn widget_page(&self, asked: &Asked<'_>, form: Form) -> Response {
        let entry = asked.entry();
        let browser = asked.cookie(BROWSER).map_or_else(random, str::to_owned);
        let key = key(&browser, entry);
        // The same nonce after a reload, so that the widget finds its login again.
        let known = self.nonces.lock().get(&key).cloned();
        let nonce = known.unwrap_or_else(|| {
            let nonce = random();
            keep(&self.nonces, key, nonce.clone());
            nonce
        });
        let token = if form == Form::Mounted { random() } else { String::new() };
        let page = WidgetPage {
            frame: self.frame(asked),
            form,
            entry,
            nonce: &nonce,
            gateway: &self.places.gateway,
            token: &token,
        };
        let mut answer = page::widget(&page);
        set_cookie(&mut answer, BROWSER, &browser);
        if form == Form::Mounted {
            // The widget's own form makes such a cookie by itself.
            set_readable_cookie(&mut answer, TOKEN, &token);
        }
        answer
    }

    /// The page brings its code.
    pub(super) async fn come_from_widget(
        &self,
        asked: &Asked<'_>,
        body: Incoming,
    ) -> Result<Response, Trouble> {
        let body = match web::read_body(body, MAX_BODY, BODY_WITHIN).await {
            Ok(body) => body,
            Err(error) => return Ok(web::text(error.status(), format!("{error}\n"))),
        };
        let fields: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
        let field = |name| fields.get(name).map_or("", String::as_str);
        if field(TOKEN).is_empty() || asked.cookie(TOKEN) != Some(field(TOKEN)) {
            return Err(Trouble::Forged);
        }
        let entry = asked.entry();
        let browser = asked.cookie(BROWSER).unwrap_or_default();
        let nonce = self.nonces.lock().remove(&key(browser, entry)).ok_or(Trouble::NotBegunHere)?;
        let client = self.client(entry);
        let (id_token, claims) = client.finish_widget(field("code"), field("verifier"), &nonce).await?;
        Ok(self.begin_session(asked, Session { entry, way: Way::Widget, id_token, claims }))
    }
}

fn key(browser: &str, entry: Entry) -> String {
    format!("{} {browser}", entry.id())
}
