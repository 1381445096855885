//! A browser without a screen: it keeps cookies, follows nothing by itself, and reads from a page what a script or a
//! person would: the handle of a login, and a form.

use std::collections::HashMap;

use reqwest::header::{CONTENT_TYPE, COOKIE, HOST, HeaderMap, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, RequestBuilder, redirect};
use serde_json::Value;

use crate::parameters::Parameters;
use crate::provider::Provider;

/// The type of a form's body.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let answer = request.send().await.expect("the provider answers");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Self { status, headers, body: answer.text().await.expect("the answer is whole") }
    }

    /// A header's value; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Where it redirects to, as browsers do after a GET or a POST.
    pub(crate) fn location(&self) -> Option<&str> {
        let redirects = [302, 303].contains(&self.status);
        assert_eq!(redirects, self.headers.contains_key(LOCATION), "{self:?}");
        self.headers.get(LOCATION).map(|place| place.to_str().unwrap())
    }

    /// It is a page of our own with this status, and leads nowhere by itself.
    pub(crate) fn page(&self, status: u16) -> &str {
        assert_eq!((self.status, self.location()), (status, None), "{self:?}");
        assert!(self.header("content-type").starts_with("text/html"), "{self:?}");
        &self.body
    }

    /// The JSON of a good answer.
    pub(crate) fn json(&self) -> Value {
        assert!(self.header("content-type").starts_with("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// The handle in the login page.
    pub(crate) fn handle(&self) -> String {
        let page = self.page(200);
        let element =
            elements(page, "").into_iter().find(|element| attribute(element, "data-request").is_some());
        let element = element.unwrap_or_else(|| panic!("this is no login page: {page}"));
        attribute(element, "data-request").unwrap()
    }

    /// The form in a page: where it goes, and its hidden fields.
    pub(crate) fn form(&self) -> Option<(String, Parameters)> {
        let (_, page) = self.body.split_once("<form")?;
        let form = format!("<form{}", page.split("</form>").next()?);
        let opening = elements(&form, "form")[0];
        assert_eq!(attribute(opening, "method").unwrap_or_default().to_lowercase(), "post", "{opening}");
        let mut fields = Parameters::default();
        for field in elements(&form, "input") {
            let [name, value] = ["name", "value"].map(|name| attribute(field, name).unwrap_or_default());
            fields = fields.and(&name, &value);
        }
        // The first button is the yes.
        if let Some(button) = elements(&form, "button").first()
            && let Some(name) = attribute(button, "name")
        {
            fields = fields.and(&name, &attribute(button, "value").unwrap_or_default());
        }
        Some((attribute(opening, "action").unwrap_or_default(), fields))
    }
}

/// The opening tags of a page, all or those of one name.
fn elements<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let tags = page.split('<').skip(1).filter_map(|rest| rest.split('>').next());
    tags.filter(|tag| {
        let own = tag.split_whitespace().next().unwrap_or_default();
        name.is_empty() || own == name
    })
    .collect()
}

/// The value of a tag's attribute.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.replace('\n', " ");
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let value = rest.split('"').next()?;
    let mut value = value.to_owned();
    for (escaped, character) in
        [("&#34;", "\""), ("&quot;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&lt;", "<"), ("&#62;", ">")]
    {
        value = value.replace(escaped, character);
    }
    Some(value.replace("&gt;", ">").replace("&#38;", "&").replace("&amp;", "&"))
}

/// The browser.
pub(crate) struct Agent {
    pub(crate) provider: Provider,
    /// Its cookies, by name.
    pub(crate) jar: HashMap<String, String>,
}

impl Agent {
    pub(crate) fn new(provider: &Provider) -> Self {
        Self { provider: provider.clone(), jar: HashMap::new() }
    }

    /// Opens a path of the issuer.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let request = self.provider.http.get(self.url(path));
        self.send(request).await
    }

    /// Sends a form from one of the issuer's pages.
    pub(crate) async fn post(&mut self, path: &str, form: &Parameters) -> Answer {
        let origin = self.provider.issuer.clone();
        self.post_from(&origin, path, form).await
    }

    /// Sends a form from a page of this origin.
    pub(crate) async fn post_from(&mut self, origin: &str, path: &str, form: &Parameters) -> Answer {
        let request = self.provider.http.post(self.url(path)).header(CONTENT_TYPE, FORM);
        let request = request.header(ORIGIN, origin).body(form.encoded());
        self.send(request).await
    }

    fn url(&self, path: &str) -> String {
        let path = path.strip_prefix(&self.provider.issuer).unwrap_or(path);
        assert!(path.starts_with('/'), "{path} is not the issuer's");
        format!("http://{}{path}", self.provider.address)
    }

    async fn send(&mut self, request: RequestBuilder) -> Answer {
        let cookies: Vec<_> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = request.header(HOST, host(&self.provider.issuer));
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        let answer = Answer::of(request).await;
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            let ends = cookie.to_lowercase().contains("max-age=0");
            match ends || value.is_empty() {
                true => self.jar.remove(name),
                false => self.jar.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    /// A site sends the browser to the issuer with this request.
    pub(crate) async fn authorize(&mut self, request: &Parameters) -> Answer {
        self.get(&format!("/authorize?{}", request.encoded())).await
    }

    /// The login page has its code, and posts it.
    pub(crate) async fn go_on(&mut self, handle: &str, code: &str) -> Answer {
        self.post("/authorize/continue", &Parameters::of(&[("request", handle), ("code", code)])).await
    }

    /// A site sends the browser, the login page is shown, and this person scans. Gives the way back to the site.
    pub(crate) async fn log_in(&mut self, request: &Parameters, person: &str) -> Answer {
        let handle = self.authorize(request).await.handle();
        let code = self.provider.scan(&handle, person).await;
        self.go_on(&handle, &code).await
    }

    /// The person says yes to the form of a page; gives what comes then, or the page itself if it has no form.
    pub(crate) async fn say_yes(&mut self, answer: Answer) -> Answer {
        match answer.form() {
            Some((action, fields)) => self.post(&action, &fields).await,
            None => answer,
        }
    }
}

/// A client that follows nothing, and keeps no connection that a killed process has had.
pub(crate) fn client() -> Client {
    let client = Client::builder().no_proxy().redirect(redirect::Policy::none());
    client.pool_max_idle_per_host(0).build().unwrap()
}

/// A URL's host and port.
pub(crate) fn host(url: &str) -> &str {
    url.split_once("://").unwrap().1
}
