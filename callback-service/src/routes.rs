//! The public port's routes: one table from method and path to the door that answers. What no row matches is told in the
//! log if it looks like a push, because WeChat's console shows nothing of an answer.

use std::net::SocketAddr;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use server::address;
use server::http::{self as web, Response};
use tokio::time::Instant;

use crate::callback::Callback;
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
}

/// Every route: methods (none for all of them), path, door. ARCHITECTURE.md has the same table.
const ROUTES: [(&[Method], &str, Door); 5] = [
    (&[], "/livez", Door::Alive),
    (&[Method::GET, Method::HEAD], "/", Door::Root),
    (&[Method::GET], WECHAT, Door::Verification),
    (&[Method::POST], WECHAT, Door::Push),
    (&[Method::HEAD], WECHAT, Door::Check),
];

/// WeChat's path. See [`is_wechat`] for its other spellings.
const WECHAT: &str = "/wechat";

/// The methods of that path.
const WECHATS_METHODS: &str = "GET, HEAD, POST";

/// Where a request leads.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    To(Door),
    /// WeChat's path with another method.
    NotAllowed,
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
    match way(&head.method, path, pushes.app_id()) {
        Way::To(Door::Alive) => web::text(StatusCode::OK, "alive\n"),
        Way::To(Door::Root) => pushes.greet(&asked).await,
        Way::To(Door::Verification) => pushes.verify(&asked).await,
        Way::To(Door::Push) => pushes.take(&asked, body, arrived).await,
        Way::To(Door::Check) => web::text(StatusCode::OK, ""),
        Way::NotAllowed => web::method_not_allowed(WECHATS_METHODS),
        Way::Nowhere => pushes.astray(&asked).await,
    }
}

fn way(method: &Method, path: &str, app_id: &str) -> Way {
    let path = if is_wechat(path, app_id) { WECHAT } else { path };
    let row = ROUTES
        .iter()
        .find(|(methods, of, _)| *of == path && (methods.is_empty() || methods.contains(method)));
    match row {
        Some((.., door)) => Way::To(*door),
        None if path == WECHAT => Way::NotAllowed,
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
        for (method, path, expected) in [
            (Method::GET, "/livez", Way::To(Door::Alive)),
            (Method::POST, "/livez", Way::To(Door::Alive)),
            (Method::GET, "/livez/", Way::Nowhere),
            (Method::HEAD, "/", Way::To(Door::Root)),
            (Method::POST, "/", Way::Nowhere),
            (Method::GET, "/wechat", Way::To(Door::Verification)),
            (Method::POST, "/wechat/", Way::To(Door::Push)),
            (Method::HEAD, "/wechat/wx1", Way::To(Door::Check)),
            (Method::PUT, "/wechat", Way::NotAllowed),
            (Method::OPTIONS, "//wechat", Way::NotAllowed),
            (Method::POST, "/elsewhere", Way::Nowhere),
        ] {
            assert_eq!(way(&method, path, "wx1"), expected, "{method} {path}");
        }
    }

    #[test]
    fn whoever_asks_with_another_method_is_told_those_of_the_table() {
        let mut methods: Vec<_> =
            ROUTES.iter().filter(|(_, path, _)| *path == WECHAT).flat_map(|(methods, ..)| *methods).collect();
        methods.sort_unstable_by_key(|method| method.as_str());
        let methods: Vec<_> = methods.into_iter().map(Method::as_str).collect();
        assert_eq!(methods.join(", "), WECHATS_METHODS);
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
            format!("| {methods} | `{path}` | {door:?}: ")
        });
        assert_eq!(rows.len(), expected.len(), "{rows:?}");
        for (row, expected) in rows.into_iter().zip(expected) {
            assert!(row.starts_with(&expected), "{row} is not {expected}");
        }
    }
}
