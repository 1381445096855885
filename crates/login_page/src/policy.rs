//! What a page may run and load, as the value of Content-Security-Policy. It is made of text that operators and strangers
//! write (addresses, a Host header), and none of that may end a directive or begin another one.

/// The longest host that is named in a policy.
const MAX_HOST: usize = 255;

/// The policy of the gateway's own page: our own two files, WeChat's pictures and the operator's logo, and a connection to
/// its own host. `host` is the request's Host header: old browsers (Safari before 15.4) do not accept `'self'` for a
/// WebSocket.
pub(crate) fn of_gateway(pictures: &[impl AsRef<str>], host: Option<&str>) -> String {
    let sockets = host.filter(|host| is_plain(host)).map(|host| format!(" ws://{host} wss://{host}"));
    let connect = format!("'self'{}", sockets.unwrap_or_default());
    format!("{}; form-action 'self'", policy(pictures, &connect))
}

/// The policy of the page for a request, which connects to the gateway at this address, mostly on another host.
///
/// It has no `form-action`. Chromium applies that directive to where the answer to a form redirects, too, and from there
/// on to every redirect after it. The page's form leads to the site, and the site may send the person on to anywhere.
pub(crate) fn of_request(pictures: &[impl AsRef<str>], gateway: &str) -> String {
    let requests = origin(gateway).unwrap_or_else(|| "'none'".to_owned());
    // http becomes ws, and https wss.
    let sockets = requests.strip_prefix("http").map(|rest| format!(" ws{rest}"));
    policy(pictures, &format!("{requests}{}", sockets.unwrap_or_default()))
}

/// What both have.
fn policy(pictures: &[impl AsRef<str>], connect: &str) -> String {
    let pictures: Vec<String> = pictures.iter().filter_map(|url| origin(url.as_ref())).collect();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: {}; connect-src {connect}; \
         base-uri 'none'; frame-ancestors 'none'",
        pictures.join(" "),
    )
}

/// The origin of an address, as a policy names it, or only its scheme if the origin has other characters. A picture inside
/// its own address (`data:`) has none, though its text may have addresses in it.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.bytes().all(|letter| letter.is_ascii_alphanumeric()) {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    Some(if is_plain(authority) { format!("{scheme}://{authority}") } else { format!("{scheme}:") })
}

/// Whether a host has no character that could end a directive of the policy, or begin another one.
fn is_plain(host: &str) -> bool {
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || "-._:[]".contains(letter);
    (1..=MAX_HOST).contains(&host.len()) && host.chars().all(is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_PICTURES: [&str; 0] = [];

    #[test]
    fn the_policy_names_hosts_and_lets_nobody_write_into_it() {
        let pictures =
            ["https://mp.weixin.qq.com/cgi-bin", "http://logo.example:8080", "data:image/png;base64,x"];
        let policy_of = |host| of_gateway(&pictures, host);
        let named = policy_of(Some("login.example:8443"));
        let img = "img-src 'self' data: https://mp.weixin.qq.com http://logo.example:8080;";
        assert!(named.contains(img), "{named}");
        assert!(
            named.contains("connect-src 'self' ws://login.example:8443 wss://login.example:8443;"),
            "{named}"
        );
        for host in [None, Some(""), Some("x; script-src *"), Some("x y"), Some("x,y"), Some("*")] {
            assert!(policy_of(host).contains("connect-src 'self';"), "{host:?}");
        }
        let odd = of_gateway(&["https://user@odd.example/", "http://a b;c/"], None);
        assert!(odd.contains("img-src 'self' data: https: http:;"), "{odd}");
        let inside = of_gateway(&["data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg'/>"], None);
        assert!(inside.contains("img-src 'self' data: ; connect-src"), "{inside}");
    }

    #[test]
    fn a_page_for_a_request_connects_to_the_gateway_and_its_form_may_lead_anywhere() {
        for (gateway, connect) in [
            ("https://login.example/", "https://login.example wss://login.example"),
            ("http://127.0.0.1:1099", "http://127.0.0.1:1099 ws://127.0.0.1:1099"),
            ("http://[::1]:1099/x", "http://[::1]:1099 ws://[::1]:1099"),
            ("https://a;b/", "https: wss:"),
            ("", "'none'"),
        ] {
            let policy = of_request(&NO_PICTURES, gateway);
            assert!(policy.contains(&format!("; connect-src {connect};")), "{policy}");
            assert!(
                !policy.contains("form-action") && policy.ends_with("; frame-ancestors 'none'"),
                "{policy}"
            );
        }
        assert!(of_gateway(&NO_PICTURES, None).ends_with("; form-action 'self'"));
    }
}
