//! A web site on an origin of its own, under a policy as strict as there is, whose pages show the widget.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::page::PATIENCE;
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::Value;
use server::http::{self as web, Response};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A form that came to the site's back end, and the cookies that came with it.
pub(crate) struct Posted {
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) cookies: String,
}

impl Posted {
    pub(crate) fn field(&self, name: &str) -> &str {
        &self.fields.iter().find(|(of, _)| of == name).unwrap_or_else(|| panic!("no {name}")).1
    }
}

/// The site. It ends with its test.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    gateway: watch::Sender<String>,
    posted: mpsc::UnboundedReceiver<Posted>,
}

impl Site {
    /// One that listens. Its pages need a [`Site::gateway`], which has to know its origin first.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (forms, posted) = mpsc::unbounded_channel();
        let (gateway, at) = watch::channel(String::new());
        tokio::spawn(async move {
            let never = CancellationToken::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (never, forms, at) = (never.clone(), forms.clone(), at.clone());
                tokio::spawn(async move {
                    let answer = |request| {
                        let gateway = at.borrow().clone();
                        answer(request, gateway, forms.clone())
                    };
                    web::serve(stream, &never, web::HEAD_WITHIN, None, answer).await;
                });
            }
        });
        Self { address, gateway, posted }
    }

    /// Names the gateway and the place of WeChat's pictures.
    pub(crate) fn gateway(&self, gateway: SocketAddr) {
        self.gateway.send_replace(gateway.to_string());
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The page that calls `mount` for each of these.
    pub(crate) fn mounted(&self, widgets: &Value) -> String {
        let mut url = reqwest::Url::parse(&format!("{}/mounted", self.origin())).unwrap();
        url.set_query(Some(&widgets.to_string()));
        url.into()
    }

    /// That page inside a frame of another one.
    pub(crate) fn framed(&self, widgets: &Value) -> String {
        self.mounted(widgets).replace("/mounted?", "/framed?")
    }

    /// That page behind this import map.
    pub(crate) fn mapped(&self, map: &str) -> String {
        let mut url = reqwest::Url::parse(&format!("{}/mapped", self.origin())).unwrap();
        url.query_pairs_mut().append_pair("map", map);
        url.into()
    }

    /// The page that has no script of its own.
    pub(crate) fn declared(&self, attributes: &str) -> String {
        let mut url = reqwest::Url::parse(&format!("{}/declared", self.origin())).unwrap();
        url.set_query(Some(attributes));
        url.into()
    }

    /// The next form that a page posts.
    pub(crate) async fn posted(&mut self) -> Posted {
        tokio::time::timeout(PATIENCE, self.posted.recv()).await.expect("a form is posted").unwrap()
    }
}

async fn answer(
    request: Request<Incoming>,
    gateway: String,
    forms: mpsc::UnboundedSender<Posted>,
) -> Response {
    let page = |own: &str, body: String| {
        let html = format!("<!doctype html><html lang=\"en\"><title>A site</title>{body}</html>");
        let mut response = web::answer(StatusCode::OK, "text/html; charset=utf-8", html);
        let policy = format!(
            "default-src 'none'; script-src http://{gateway}{own}; connect-src http://{gateway} ws://{gateway}; \
             img-src data:; style-src 'none'; form-action 'self'; base-uri 'none'"
        );
        response.headers_mut().insert("content-security-policy", policy.parse().unwrap());
        response
    };
    let module = format!("http://{gateway}/widget.v1.js");
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    match (request.method(), path) {
        (&Method::GET, "/declared") => {
            let attributes: String = form_urlencoded::parse(query.as_bytes())
                .map(|(name, value)| format!(" data-{name}=\"{value}\""))
                .collect();
            page("", format!("<div{attributes}></div><script type=\"module\" src=\"{module}\"></script>"))
        }
        (&Method::GET, "/mounted") => page(
            " 'self'",
            format!(
                "<link rel=\"modulepreload\" href=\"{module}\"><body><script type=\"module\" src=\"/page.js\"></script>"
            ),
        ),
        (&Method::GET, "/framed") => {
            let mut answer = web::answer(
                StatusCode::OK,
                "text/html; charset=utf-8",
                format!("<!doctype html><title>A site</title><iframe src=\"/mounted?{query}\"></iframe>"),
            );
            let policy = "default-src 'none'; frame-src 'self'".parse().unwrap();
            answer.headers_mut().insert("content-security-policy", policy);
            answer
        }
        // The widgets of this page stand in its fragment.
        (&Method::GET, "/mapped") => {
            let (_, map) = form_urlencoded::parse(query.as_bytes()).next().unwrap();
            let hash = STANDARD.encode(digest(&SHA256, map.as_bytes()));
            page(
                &format!(" 'self' 'sha256-{hash}'"),
                format!(
                    "<script type=\"importmap\">{map}</script><link href=\"{module}\"><body>\
                     <script type=\"module\" src=\"/page.js\"></script>"
                ),
            )
        }
        (&Method::GET, "/page.js") => {
            web::answer(StatusCode::OK, "text/javascript; charset=utf-8", include_str!("page.js"))
        }
        (&Method::POST, "/login/saoma") => {
            let cookies = request.headers().get("cookie").map_or("", |it| it.to_str().unwrap()).to_owned();
            let body = web::read_body(request.into_body(), 4096, Duration::from_secs(5)).await.unwrap();
            let fields = form_urlencoded::parse(&body).into_owned().collect();
            forms.send(Posted { fields, cookies }).unwrap();
            web::text(StatusCode::OK, "logged in")
        }
        (_, "/favicon.ico") => web::text(StatusCode::OK, ""),
        _ => web::text(StatusCode::NOT_FOUND, "nothing is here"),
    }
}
