//! What becomes of logins by wechat-server's protocol is in the audit once.

use e2e::journal::words;

use crate::client::World;
use crate::qr_codes::{login, scan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_and_qr_codes_have_one_entry_of_each_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("callback.db");
    let world = World::of("", &[&format!("--callback-store=sqlite:{}", file.display())]).await;
    let (person, other, first, second) =
        (world.person(), world.person(), login(&world).await, login(&world).await);
    scan(&world, &person, &first).await;
    scan(&world, &other, &first).await;
    for _ in 0..2 {
        world.says(&person, "1").await;
        scan(&world, &person, &first).await;
    }
    let told = world.site.status(&first.token).await;
    let code = told["data"]["auth_code"].as_str().unwrap();
    for _ in 0..2 {
        world.site.user(code).await;
    }
    scan(&world, &other, &second).await;
    for _ in 0..2 {
        world.says(&other, "0").await;
    }
    let code = world.code(&person).await;
    for _ in 0..2 {
        world.site.user(&code).await;
    }
    let said = words(&file, &["outcome", "site", "way", "confirmed", "person"]);
    let expected = [
        ("taken", "-", &other),
        ("granted", "one", &person),
        ("redeemed", "-", &person),
        ("not_me", "-", &other),
        ("redeemed", "-", &person),
    ];
    let expected = expected
        .map(|(outcome, confirmed, who)| format!("{outcome} AI 网关 wechat_server {confirmed} {who}"));
    assert_eq!(said, expected);
    let logins = words(&file, &["login"]);
    assert!(logins[0] == logins[1] && logins[1] != logins[3] && logins[0].len() == 32, "{logins:?}");
}
