//! Apache's mod_auth_openidc: two sites in one Apache with TLS of its own, by both ways of authentication that it shares with
//! Saoma. What it lets through shows the claims.

use std::process::Command;

use crate::client::Client;
use crate::proxy::Names;
use crate::recipe;
use crate::world::{Authentication, Site, Tls, Wanted, World, write};

const PACKAGES: &str = "apache2-bin libapache2-mod-auth-openidc";

/// What only somebody who is logged in sees.
const PAGE: &str = r#"<!doctype html>
<pre>sub <!--#echo var="REMOTE_USER" -->
name <!--#echo var="OIDC_CLAIM_name" -->
user <!--#echo var="OIDC_CLAIM_preferred_username" -->
at <!--#echo var="OIDC_CLAIM_auth_time" --></pre>
"#;

const fn site(id: &'static str, authentication: Authentication) -> Wanted {
    let written = "https://intranet.example.cn";
    Wanted { id, recipe: "mod_auth_openidc", written, authentication, tls: Tls::Own }
}

/// Starts Apache with the recipe's lines for each site.
async fn start(world: &World, sites: &[Site]) -> Client {
    let mut whole = recipe::text("tests/relying/apache.conf");
    for (name, is) in [
        ("CERTIFICATE", world.identity.certificate.as_path()),
        ("KEY", &world.identity.key),
        ("FOLDER", world.folder.path()),
        ("CA", &world.authority),
    ] {
        // As a word of its own.
        whole = recipe::replace(&whole, &format!(" {name}"), &format!(" {}", is.display()));
    }
    for site in sites {
        let lines = recipe::block(&site.page(), "apache");
        let lines = recipe::replace(&lines, "OIDCClientID intranet", &format!("OIDCClientID {}", site.id));
        let lines = recipe::replace(&lines, "client_secret_basic", site.authentication.name());
        let (at, lines) = (site.listens, site.filled(&lines, &world.issuer));
        whole.push_str(&format!(
            "\nListen {at} https\n<VirtualHost {at}>\nServerName {}\nSSLEngine on\n{lines}</VirtualHost>\n",
            site.url,
        ));
    }
    let file = world.path("apache.conf");
    write(&file, &whole);
    write(&world.path("pages/index.shtml"), PAGE);
    write(&world.path("pages/bye/index.shtml"), "再见");
    let mut command = Command::new("apache2");
    // One process, which ends with the test.
    command.args(["-X", "-f", &file.display().to_string()]);
    Client::start(command, world.path("apache.log"), sites[0].listens, PACKAGES).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mod_auth_openidc_logs_people_in_by_each_authentication() {
    let wanted = [site("intranet", Authentication::Basic), site("wiki", Authentication::Post)];
    let world = World::start(Names::Two, wanted).await;
    let [intranet, wiki] = &world.sites[..] else { unreachable!() };
    let _apache = start(&world, &world.sites).await;
    let home = |site: &Site| format!("{}/", site.url);

    world.browser.open(&home(intranet)).await;
    world.scan().await;
    let shown = world.arrives(&home(intranet)).await;
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], format!("sub {}", world.person()));
    assert!(lines[1].starts_with("name 微信用户 ") && lines[2].starts_with("user wx_"), "{shown}");

    // The session is enough for the other one.
    world.browser.open(&home(wiki)).await;
    assert_eq!(world.arrives(&home(wiki)).await, shown);
    assert_eq!(world.redeemed(), ["Basic", "-"]);

    // Who logs out at one is logged out at the other.
    let bye = format!("{}/bye", intranet.url);
    let query = bye.replace(':', "%3A").replace('/', "%2F");
    world.browser.open(&format!("{}/oidc/callback?logout={query}", intranet.url)).await;
    assert_eq!(world.arrives(&format!("{bye}/")).await, "再见");
    for site in [intranet, wiki] {
        world.until_shown(&home(site), |shown| !shown.starts_with("sub ")).await;
        world.until_asked_to_scan().await;
    }
}
