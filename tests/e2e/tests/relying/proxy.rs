//! What ends TLS: nginx, by deploy/nginx.conf, and in front of sites that know no TLS of their own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use test_certificates::Identity;

use crate::client::Client;
use crate::recipe;

/// Where browsers find the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// The issuer and the gateway have a name each.
    Two,
    /// They share one.
    One,
}

/// What the proxy stands in front of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behind {
    /// A program that speaks HTTP.
    Program(SocketAddr),
    /// Nothing: the proxy answers itself.
    Nothing,
}

/// The services' own addresses, and those for browsers.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) names: Names,
    pub(crate) gateway: SocketAddr,
    pub(crate) gateway_behind: SocketAddr,
    pub(crate) issuer: SocketAddr,
    pub(crate) callback_behind: SocketAddr,
}

/// Starts it.
pub(crate) async fn start(
    folder: &Path,
    identity: &Identity,
    services: &Services,
    sites: &[(SocketAddr, Behind)],
) -> Client {
    let path = |name: &str| folder.join(name).display().to_string();
    let sites: String = sites.iter().map(|(listen, behind)| site(*listen, *behind)).collect();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {};\n", path(&format!("nginx.{kind}"))))
        .collect();
    let services_part = of_services(services, identity);
    let whole = format!(
        "daemon off;\nmaster_process off;\npid {pid};\nerror_log stderr;\nevents {{}}\nhttp {{\n{temporary}\
         map $http_authorization $asked_by {{ default -; \"~^(?<way>[A-Za-z]+) \" $way; }}\n\
         log_format asked '$request_method $uri $asked_by $status $arg_code_challenge_method';\naccess_log {asked} asked;\n\
         ssl_certificate {certificate};\nssl_certificate_key {key};\n{services_part}\n{sites}}}\n",
        pid = path("nginx.pid"),
        asked = path("asked.log"),
        certificate = identity.certificate.display(),
        key = identity.key.display(),
    );
    std::fs::write(path("nginx.conf"), whole).unwrap();
    let mut command = Command::new("nginx");
    command.args(["-c", &path("nginx.conf"), "-p", &path("")]);
    Client::start(command, folder.join("nginx.log"), services.issuer, "nginx-light").await
}

/// deploy/nginx.conf, with what an operator changes.
fn of_services(services: &Services, identity: &Identity) -> String {
    let mut text = recipe::text("deploy/nginx.conf");
    let Services { names, gateway, issuer, .. } = services;
    let listen = |address: &SocketAddr| format!("listen {address} ssl;");
    let listens = match names {
        Names::Two => format!("{} {}", listen(gateway), listen(issuer)),
        Names::One => listen(issuer),
    };
    for (from, to) in [
        ("127.0.0.1:1099", services.gateway_behind.to_string()),
        ("127.0.0.1:8080", services.callback_behind.to_string()),
        ("    listen 80;\n", String::new()),
        ("    listen [::]:80;\n", String::new()),
        ("    listen [::]:443 ssl;\n", String::new()),
        ("listen 443 ssl;", listens),
        ("/etc/ssl/login.example.com.pem", identity.certificate.display().to_string()),
        ("/etc/ssl/login.example.com.key", identity.key.display().to_string()),
        ("login.example.com", gateway.ip().to_string()),
    ] {
        text = recipe::replace(&text, from, &to);
    }
    match names {
        Names::Two => recipe::replace(&text, "id.example.com", &issuer.ip().to_string()),
        // "Where one name serves both services, it stays what it is."
        Names::One => text,
    }
}

fn site(listen: SocketAddr, behind: Behind) -> String {
    let answer = match behind {
        Behind::Program(at) => format!("proxy_set_header Host $http_host; proxy_pass http://{at};"),
        Behind::Nothing => "default_type text/plain; return 200 landed;".to_owned(),
    };
    format!("server {{ listen {listen} ssl; location / {{ {answer} }} }}\n")
}
