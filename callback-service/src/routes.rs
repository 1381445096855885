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
use crate::web::{Page, login_of};
use crate::wechat_server::{Call, Incoming as ToWeChatServer};

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
    /// Logins inside WeChat, where there are any.
    Inside(Page),
    /// What WeChat asks for to know whose the domain is.
    MpVerify,
    /// wechat-server's protocol, where it is spoken; else there is nothing there.
    WeChatServer(Call),
}

/// Every route: methods (none for all of them), path, door. ARCHITECTURE.md has the same table.
const ROUTES: [(&[Method], &str, Door); 28] = [
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
    (&[Method::GET], LOGIN, Door::Inside(Page::Login)),
    (&[Method::GET], "/login/site", Door::Inside(Page::Site)),
    (&[Method::GET], "/login/again", Door::Inside(Page::Again)),
    (&[Method::GET], "/login/back", Door::Inside(Page::Back)),
    (&[Method::POST], "/login/answer", Door::Inside(Page::Answer)),
    (&[Method::GET, Method::HEAD], MP_VERIFY, Door::MpVerify),
    (&[Method::GET], "/api/wechat/user", Door::WeChatServer(Call::User)),
    (&[Method::POST], "/api/wechat/create_login_qrcode", Door::WeChatServer(Call::CreateQrCode)),
    (&[Method::GET], "/api/wechat/login_status", Door::WeChatServer(Call::LoginStatus)),
    (&[Method::GET], "/api/wechat/access_token", Door::WeChatServer(Call::AccessToken)),
];

/// Stands for the path of each login: its scene is behind `/login/`.
const LOGIN: &str = "/login/{scene}";

/// Stands for the path of each verification file.
const MP_VERIFY: &str = "/MP_verify_{name}.txt";

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
    let asked = Asked { path, query, headers: &head.headers, from };
    let there = There {
        sites: callback.provider.is_some(),
        inside: callback.web.is_some(),
        wechat_server: callback.wechat_server.is_some(),
        verify_file: callback.verify_files.at(path).is_some(),
    };
    let account = match there.wechat_server && is_wechat_servers(path) {
        // Whoever puts this service in the place of a wechat-server has one account.
        true => doors.all().next(),
        false => wechat_path(path).and_then(|rest| doors.at(rest)),
    };
    match (way(&head.method, path, account.is_some(), there), account) {
        (Way::To(Door::Alive), _) => web::text(StatusCode::OK, "alive\n"),
        (Way::To(Door::Root), _) => doors.greet(&asked).await,
        (Way::To(Door::Verification), Some(account)) => account.verify(&asked).await,
        (Way::To(Door::Push), Some(account)) => account.take(&asked, body, arrived).await,
        (Way::To(Door::Check), _) => web::text(StatusCode::OK, ""),
        (Way::To(Door::Provider(endpoint)), _) => match (&callback.provider, &callback.web) {
            (Some(provider), _) => provider.answer(endpoint, ToProvider { head: &head, from }, body).await,
            (None, Some(web)) if endpoint == STYLE => web.style(),
            (None, _) => doors.astray(&asked, None).await,
        },
        (Way::To(Door::Inside(page)), _) => match &callback.web {
            Some(web) => web.answer(page, ToProvider { head: &head, from }, body).await,
            None => doors.astray(&asked, callback.provider.as_deref()).await,
        },
        (Way::To(Door::MpVerify), _) => {
            web::text(StatusCode::OK, callback.verify_files.at(path).unwrap_or_default())
        }
        (Way::To(Door::WeChatServer(call)), _) => match &callback.wechat_server {
            Some(server) => server.answer(call, ToWeChatServer { head: &head, from }, body).await,
            None => doors.astray(&asked, None).await,
        },
        (Way::NotAllowed(methods), _) => web::method_not_allowed(&methods),
        (Way::To(Door::Verification | Door::Push) | Way::Nowhere, _) => {
            doors.astray(&asked, callback.provider.as_deref()).await
        }
    }
}

/// The style of every page, which logins inside WeChat have without sites, too.
const STYLE: Endpoint = Endpoint::Part(Part::Style);

/// What there is behind the doors that are not always there.
#[derive(Debug, Clone, Copy, Default)]
struct There {
    sites: bool,
    inside: bool,
    wechat_server: bool,
    /// The path is that of a verification file.
    verify_file: bool,
}

/// Where a request leads. `is_wechats` says that its path is an official account's, in whichever spelling.
fn way(method: &Method, path: &str, is_wechats: bool, there: There) -> Way {
    let path = match path {
        _ if is_wechats => WECHAT,
        // An account that there is not, such as that of the variables where all are in the file.
        WECHAT => return Way::Nowhere,
        _ if there.verify_file => MP_VERIFY,
        _ if login_of(path).is_some() => LOGIN,
        // Nobody asks for these by their names in the table.
        LOGIN | MP_VERIFY => return Way::Nowhere,
        other => other,
    };
    let rows = || {
        let is_there = |door: &Door| match door {
            Door::Provider(endpoint) => there.sites || (there.inside && *endpoint == STYLE),
            Door::Inside(_) => there.inside,
            Door::WeChatServer(_) => there.wechat_server,
            _ => true,
        };
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

/// WeChat's path at a wechat-server: whoever puts this service in its place need not change WeChat's console.
fn is_wechat_servers(path: &str) -> bool {
    path.split('/').filter(|part| !part.is_empty()).eq(["api", "wechat"])
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

    const EVERYTHING: There = There { sites: true, inside: true, wechat_server: true, verify_file: false };

    #[test]
    fn each_request_has_one_way() {
        let is_wechats =
            |path| is_wechat_servers(path) || matches!(wechat_path(path), Some(None | Some("wx1")));
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
            (Method::GET, "/api/wechat", Way::To(Door::Verification)),
            (Method::POST, "/api/wechat/", Way::To(Door::Push)),
            (Method::GET, "/api/wechat/user", Way::To(Door::WeChatServer(Call::User))),
            (Method::HEAD, "/api/wechat/user", not_allowed("GET")),
            (Method::GET, "/api/wechat/create_login_qrcode", not_allowed("POST")),
            (Method::GET, "/api/wechat/wx1", Way::Nowhere),
            (Method::GET, "/api", Way::Nowhere),
        ] {
            assert_eq!(way(&method, path, is_wechats(path), EVERYTHING), expected, "{method} {path}");
        }
    }

    #[test]
    fn logins_inside_wechat_have_their_ways_where_there_are_any() {
        let login = format!("/login/{}", protocol::Scene::random());
        let inside = There { inside: true, ..There::default() };
        for (method, path, expected) in [
            (Method::GET, login.as_str(), Way::To(Door::Inside(Page::Login))),
            (Method::POST, &login, Way::NotAllowed("GET".to_owned())),
            (Method::GET, "/login/back", Way::To(Door::Inside(Page::Back))),
            (Method::GET, "/login/short", Way::Nowhere),
            (Method::GET, LOGIN, Way::Nowhere),
            (Method::GET, MP_VERIFY, Way::Nowhere),
            (Method::GET, "/login.css", Way::To(Door::Provider(STYLE))),
            (Method::GET, "/login.js", Way::Nowhere),
        ] {
            assert_eq!(way(&method, path, false, inside), expected, "{method} {path}");
        }
        let sites = There { sites: true, ..There::default() };
        assert_eq!(way(&Method::GET, &login, false, sites), Way::Nowhere);
        let file = There { verify_file: true, ..There::default() };
        assert_eq!(way(&Method::GET, "/MP_verify_a.txt", false, file), Way::To(Door::MpVerify));
    }

    #[test]
    fn without_sites_there_is_no_provider_and_no_wechat_server() {
        let nothing = There::default();
        let of_provider =
            ["/token", "/authorize", "/jwks.json", "/.well-known/openid-configuration", "/login.js"];
        for path in of_provider.into_iter().chain(["/api/wechat", "/api/wechat/user"]) {
            for method in [Method::GET, Method::POST, Method::OPTIONS] {
                assert_eq!(way(&method, path, false, nothing), Way::Nowhere, "{method} {path}");
            }
        }
        assert_eq!(way(&Method::GET, "/wechat", true, nothing), Way::To(Door::Verification));
        assert_eq!(way(&Method::GET, "/wechat", false, nothing), Way::Nowhere, "all accounts have names");
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
                Door::Inside(page) => format!("{page:?}"),
                Door::WeChatServer(call) => format!("WeChatServer, {call:?}"),
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
