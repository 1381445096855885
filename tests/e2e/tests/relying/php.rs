//! The recipe's file of PHP, served by PHP itself, behind a proxy that ends TLS, where the issuer and the gateway share a
//! name. A site of Authlib stands beside it.

use std::process::Command;

use crate::authlib;
use crate::client::Client;
use crate::proxy::Names;
use crate::recipe;
use crate::world::{Authentication, Site, Tls, Wanted, World, write};

/// Starts PHP with the recipe's two files.
async fn start(world: &World, site: &Site) -> Client {
    write(&world.path("php/login.php"), &recipe::block(&site.page(), "php"));
    write(&world.path("php/index.php"), &recipe::here_document(&site.page()));
    let mut command = Command::new("php");
    command.arg("-d").arg(format!("openssl.cafile={}", world.authority.display()));
    command.arg("-d").arg(format!("session.save_path={}", world.folder.path().display()));
    command.arg("-t").arg(world.path("php")).arg("-S").arg(site.listens.to_string());
    command.env("SAOMA_ISSUER", &world.issuer).env("SAOMA_CLIENT", site.id);
    command.envs(site.secret.as_ref().map(|secret| ("SAOMA_SECRET", secret)));
    command.env("SAOMA_REDIRECT_URI", format!("{}/login.php", site.url));
    command.env("SAOMA_HOME", format!("{}/", site.url));
    Client::start(command, world.path("php.log"), site.listens, "php-cli").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn php_logs_people_in_with_one_file() {
    let php = Wanted {
        id: "php",
        recipe: "php",
        written: "https://shop.example.cn",
        authentication: Authentication::Basic,
        tls: Tls::Proxy,
    };
    let world = World::start(Names::One, [php, authlib::site("shop", Authentication::Basic)]).await;
    let [php, shop] = &world.sites[..] else { unreachable!() };
    let _clients = tokio::join!(start(&world, php), authlib::start(&world, shop));
    let home = format!("{}/", php.url);
    let login = format!("{}/login.php", php.url);

    world.browser.open(&home).await;
    assert_eq!(world.arrives(&home).await, "nobody is logged in");
    world.browser.open(&login).await;
    world.scan().await;
    let shown = world.arrives(&home).await;
    assert!(shown.contains(&format!("[sub] => {}", world.person())), "{shown}");
    assert!(shown.contains("[name] => 微信用户 "), "{shown}");

    // The session is enough for the other site, and for this one once more.
    world.browser.open(&format!("{}/login", shop.url)).await;
    assert_eq!(authlib::person(&world, shop).await["sub"], world.person());
    world.browser.open(&login).await;
    assert_eq!(world.arrives(&home).await, shown);
    assert_eq!(world.redeemed(), ["Basic", "Basic", "Basic"]);

    // An answer that this browser has not asked for is refused.
    let unasked = format!("{login}?code=x&state=x&iss={}", world.issuer);
    let answer = world.http().get(unasked).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 400);

    world.browser.open(&format!("{login}?logout")).await;
    assert_eq!(world.arrives(&home).await, "nobody is logged in");
    world.until_shown(&format!("{}/", shop.url), |shown| shown == "null").await;
    world.browser.open(&login).await;
    world.until_asked_to_scan().await;
}
