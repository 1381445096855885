//! The public port's routes: one table from method and path to the door that answers. What no row matches is told in the
//! log if it looks like a push, because WeChat's console shows nothing of an answer.

use std::net::SocketAddr;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use server::address;
use server::http::{self as web, Response};
use tokio::time::Instant;

use crate::callback::Callback;
use crate::provider::{Endpoint, Incoming as ToProvider, Part};
use crate::pushes::Asked;

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// A proxy's check that somebody answers. Nothing is told or counted.
    Alive,
    /// A balancer's check at the root.
    Root,
    /// WeChat's verification of the address.
    Verification,
    /// A push.
    Push,
    /// A balancer's check at WeChat's path. WeChat itself sends no HEAD.
    Check,
    /// The provider's, where there are sites; else there is nothing there.
    Provider(Endpoint),
}

/// Every route: methods (none for all of them), path, door. ARCHITECTURE.md has the same table.
const ROUTES: [(&[Method], &str, Door); 18] = [
    (&[], "/livez", Door::Alive),
    (&[Method::GET, Method::HEAD], "/", Door::Root),
    (&[Method::GET], WECHAT, Door::Verification),
    (&[Method::POST], WECHAT, Door::Push),
    (&[Method::HEAD], WECHAT, Door::Check),
    (&READ, "/.well-known/openid-configuration", Door::Provider(Endpoint::Discovery)),
    (&READ, "/jwks.json", Door::Provider(Endpoint::Keys)),
    (&[Method::GET, Method::POST], "/authorize", Door::Provider(Endpoint::Authorize)),
    (&[Method::POST], "/authorize/continue", Door::Provider(Endpoint::Continue)),
    (&[Method::POST, Method::OPTIONS], "/token", Door::Provider(Endpoint::Token)),
    (&[Method::GET, Method::POST, Method::OPTIONS], "/userinfo", Door::Provider(Endpoint::UserInfo)),
    (&[Method::GET, Method::POST], "/logout", Door::Provider(Endpoint::Logout)),
    (&[Method::POST], "/logout/confirm", Door::Provider(Endpoint::LogoutConfirm)),
    (&[Method::GET, Method::HEAD], "/login.js", Door::Provider(Endpoint::Part(Part::Script))),
    (&[Method::GET, Method::HEAD], "/widget.v1.js", Door::Provider(Endpoint::Part(Part::Widget))),
    (&[Method::GET, Method::HEAD], "/ways.v1.js", Door::Provider(Endpoint::Part(Part::Ways))),
    (&[Method::GET, Method::HEAD], "/authorize.js", Door::Provider(Endpoint::Part(Part::RequestScript))),
    (&[Method::GET, Method::HEAD], "/login.css", Door::Provider(Endpoint::Part(Part::Style))),
];

/// The methods of what every page may read.
const READ: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];

/// WeChat's path. See [`is_wechat`] for its other spellings.
const WECHAT: &str = "/wechat";

/// Where a request leads.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    To(Door),
    /// A path with another method than those it has.
    NotAllowed(String),
    Nowhere,
}

/// Answers one request.
pub(crate) async fn route(callback: &Callback, request: Request<Incoming>, peer: SocketAddr) -> Response {
    let arrived = Instant::now();
    let pushes = &callback.pushes;
    let from = address::of_request(request.headers(), peer, &callback.trusted_proxies);
    let (head, body) = request.into_parts();
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    let asked = Asked { path, query, from };
    match way(&head.method, path, pushes.app_id(), callback.provider.is_some()) {
        Way::To(Door::Alive) => web::text(StatusCode::OK, "alive\n"),
        Way::To(Door::Root) => pushes.greet(&asked).await,
        Way::To(Door::Verification) => pushes.verify(&asked).await,
        Way::To(Door::Push) => pushes.take(&asked, body, arrived).await,
        Way::To(Door::Check) => web::text(StatusCode::OK, ""),
        Way::To(Door::Provider(endpoint)) => match &callback.provider {
            Some(provider) => provider.answer(endpoint, ToProvider { head: &head, from }, body).await,
            None => pushes.astray(&asked, None).await,
        },
        Way::NotAllowed(methods) => web::method_not_allowed(&methods),
        Way::Nowhere => pushes.astray(&asked, callback.provider.as_deref()).await,
    }
}

fn way(method: &Method, path: &str, app_id: &str, has_sites: bool) -> Way {
    let path = if is_wechat(path, app_id) { WECHAT } else { path };
    let rows = || {
        let is_there = |door: &Door| has_sites || !matches!(door, Door::Provider(_));
        ROUTES.iter().filter(move |(_, of, door)| *of == path && is_there(door))
    };
    match rows().find(|(methods, ..)| methods.is_empty() || methods.contains(method)) {
        Some((.., door)) => Way::To(*door),
        None if rows().next().is_some() && path != "/" => {
            let mut methods: Vec<_> = rows().flat_map(|(methods, ..)| *methods).map(Method::as_str).collect();
            methods.sort_unstable();
            Way::NotAllowed(methods.join(", "))
        }
        None => Way::Nowhere,
    }
}

/// `/wechat`, also as `/wechat/` or `//wechat`, because nobody sees such a slash in the console. The platform that
/// manages an account may put its appid behind it.
fn is_wechat(path: &str, app_id: &str) -> bool {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    parts.next() == Some("wechat") && parts.next().is_none_or(|part| part == app_id) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_too_many_is_no_other_path() {
        for path in ["/wechat", "/wechat/", "//wechat", "//wechat//", "/wechat/wx1", "/wechat/wx1/"] {
            assert!(is_wechat(path, "wx1"), "{path}");
        }
        for path in ["/", "", "/WeChat", "/wechat/x", "/x/wechat", "/%77echat", "/wechat%2F", "/wechat/wx1/x"]
        {
            assert!(!is_wechat(path, "wx1"), "{path}");
        }
    }

    #[test]
    fn each_request_has_one_way() {
        let not_allowed = |methods: &str| Way::NotAllowed(methods.to_owned());
        for (method, path, expected) in [
            (Method::GET, "/livez", Way::To(Door::Alive)),
            (Method::POST, "/livez", Way::To(Door::Alive)),
            (Method::GET, "/livez/", Way::Nowhere),
            (Method::HEAD, "/", Way::To(Door::Root)),
            (Method::POST, "/", Way::Nowhere),
            (Method::GET, "/wechat", Way::To(Door::Verification)),
            (Method::POST, "/wechat/", Way::To(Door::Push)),
            (Method::HEAD, "/wechat/wx1", Way::To(Door::Check)),
            (Method::PUT, "/wechat", not_allowed("GET, HEAD, POST")),
            (Method::OPTIONS, "//wechat", not_allowed("GET, HEAD, POST")),
            (Method::POST, "/elsewhere", Way::Nowhere),
            (Method::POST, "/token", Way::To(Door::Provider(Endpoint::Token))),
            (Method::GET, "/token", not_allowed("OPTIONS, POST")),
            (Method::OPTIONS, "/authorize", not_allowed("GET, POST")),
            (Method::GET, "/authorize/", Way::Nowhere),
        ] {
            assert_eq!(way(&method, path, "wx1", true), expected, "{method} {path}");
        }
    }

    #[test]
    fn without_sites_there_is_no_provider() {
        for path in ["/token", "/authorize", "/jwks.json", "/.well-known/openid-configuration", "/login.js"] {
            for method in [Method::GET, Method::POST, Method::OPTIONS] {
                assert_eq!(way(&method, path, "wx1", false), Way::Nowhere, "{method} {path}");
            }
        }
        assert_eq!(way(&Method::GET, "/wechat", "wx1", false), Way::To(Door::Verification));
    }

    /// The table that people read is this one.
    #[test]
    fn the_architectures_table_has_every_route_and_no_other() {
        let document = include_str!("../../ARCHITECTURE.md");
        let (_, table) = document.split_once("| method | path | door |\n").unwrap_or_default();
        let rows: Vec<_> = table.lines().skip(1).take_while(|line| line.starts_with('|')).collect();
        let expected = ROUTES.map(|(methods, path, door)| {
            let methods: Vec<_> = methods.iter().map(Method::as_str).collect();
            let methods = if methods.is_empty() { "any".to_owned() } else { methods.join(", ") };
            let door = match door {
                Door::Provider(Endpoint::Part(part)) => format!("Part, {part:?}"),
                Door::Provider(endpoint) => format!("{endpoint:?}"),
                door => format!("{door:?}"),
            };
            format!("| {methods} | `{path}` | {door}: ")
        });
        assert_eq!(rows.len(), expected.len(), "{rows:?}");
        for (row, expected) in rows.into_iter().zip(expected) {
            assert!(row.starts_with(&expected), "{row} is not {expected}");
        }
    }
}
