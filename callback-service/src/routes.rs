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
const ROUTES: [(&[Method], &str, Door); 17] = [
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
    (&[Method::GET, Method::HEAD], "/authorize.js", Door::Provider(Endpoint::Part(Part::RequestScript))),
    (&[Method::GET, Method::HEAD], "/login.css", Door::Provider(Endpoint::Part(Part::Style))),
];

/// The methods of what every page may read.
const READ: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];

/// WeChat's path. See [`wechat_path`] for its other spellings, and for what may stand behind it.
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
    let doors = &callback.doors;
    let from = address::of_request(request.headers(), peer, &callback.trusted_proxies);
    let (head, body) = request.into_parts();
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    let asked = Asked { path, query, from };
    let account = wechat_path(path).and_then(|rest| doors.at(rest));
    match (way(&head.method, path, account.is_some(), callback.provider.is_some()), account) {
        (Way::To(Door::Alive), _) => web::text(StatusCode::OK, "alive\n"),
        (Way::To(Door::Root), _) => doors.greet(&asked).await,
        (Way::To(Door::Verification), Some(account)) => account.verify(&asked).await,
        (Way::To(Door::Push), Some(account)) => account.take(&asked, body, arrived).await,
        (Way::To(Door::Check), _) => web::text(StatusCode::OK, ""),
        (Way::To(Door::Provider(endpoint)), _) => match &callback.provider {
            Some(provider) => provider.answer(endpoint, ToProvider { head: &head, from }, body).await,
            None => doors.astray(&asked, None).await,
        },
        (Way::NotAllowed(methods), _) => web::method_not_allowed(&methods),
        (Way::To(Door::Verification | Door::Push) | Way::Nowhere, _) => {
            doors.astray(&asked, callback.provider.as_deref()).await
        }
    }
}

/// Where a request leads. `is_wechats` says that its path is an official account's, in whichever spelling.
fn way(method: &Method, path: &str, is_wechats: bool, has_sites: bool) -> Way {
    let path = match (is_wechats, path) {
        (true, _) => WECHAT,
        // An account that there is not, such as that of the variables where all are in the file.
        (false, WECHAT) => return Way::Nowhere,
        (false, path) => path,
    };
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

/// What stands behind `/wechat`: nothing, or an account's name or appid. Also `/wechat/` or `//wechat` is that path, because
/// nobody sees such a slash in the console.
fn wechat_path(path: &str) -> Option<Option<&str>> {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match (parts.next(), parts.next(), parts.next()) {
        (Some("wechat"), rest, None) => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_too_many_is_no_other_path() {
        for path in ["/wechat", "/wechat/", "//wechat", "//wechat//"] {
            assert_eq!(wechat_path(path), Some(None), "{path}");
        }
        for path in ["/wechat/shop", "/wechat/shop/", "//wechat//shop"] {
            assert_eq!(wechat_path(path), Some(Some("shop")), "{path}");
        }
        for path in ["/", "", "/WeChat", "/x/wechat", "/%77echat", "/wechat%2F", "/wechat/wx1/x"] {
            assert_eq!(wechat_path(path), None, "{path}");
        }
    }

    #[test]
    fn each_request_has_one_way() {
        let is_wechats = |path| matches!(wechat_path(path), Some(None | Some("wx1")));
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
            (Method::POST, "/wechat/gone", Way::Nowhere),
            (Method::PUT, "/wechat", not_allowed("GET, HEAD, POST")),
            (Method::OPTIONS, "//wechat", not_allowed("GET, HEAD, POST")),
            (Method::POST, "/elsewhere", Way::Nowhere),
            (Method::POST, "/token", Way::To(Door::Provider(Endpoint::Token))),
            (Method::GET, "/token", not_allowed("OPTIONS, POST")),
            (Method::OPTIONS, "/authorize", not_allowed("GET, POST")),
            (Method::GET, "/authorize/", Way::Nowhere),
        ] {
            assert_eq!(way(&method, path, is_wechats(path), true), expected, "{method} {path}");
        }
    }

    #[test]
    fn without_sites_there_is_no_provider() {
        for path in ["/token", "/authorize", "/jwks.json", "/.well-known/openid-configuration", "/login.js"] {
            for method in [Method::GET, Method::POST, Method::OPTIONS] {
                assert_eq!(way(&method, path, false, false), Way::Nowhere, "{method} {path}");
            }
        }
        assert_eq!(way(&Method::GET, "/wechat", true, false), Way::To(Door::Verification));
        assert_eq!(way(&Method::GET, "/wechat", false, false), Way::Nowhere, "all accounts have names");
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
