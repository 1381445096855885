//! What somebody gets who tries, and what the day's calls bear.

use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::client::{NOBODY, World, good};

const TOO_MANY: &str = r#"{"message":"验证码错误次数过多，请稍后再试","success":false}"#;

/// Wrong codes of a site that are looked at: ten, and one more in 30 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_thousand_guesses_a_handful_is_looked_at() {
    let world = World::with("").await;
    let person = world.person();
    let code = world.code(&person).await;
    let (began, mine) = (Instant::now(), &code);
    let guesses = (0..10_000).map(|guess| format!("{guess:06}")).filter(|guess| guess != mine);
    let answers: Vec<String> = stream::iter(guesses)
        .map(|guess| {
            let site = world.site.clone();
            async move { site.user(&guess).await }
        })
        .buffer_unordered(32)
        .collect()
        .await;
    let most = 10 + usize::try_from(began.elapsed().as_secs() / 30).unwrap() + 1;
    let looked_at = answers.iter().filter(|answer| *answer == NOBODY).count();
    assert!((10..=most).contains(&looked_at), "{looked_at} of {most}");
    assert!(answers.iter().all(|answer| answer == NOBODY || answer == TOO_MANY));
    // Else a guesser would know a good code by its answer.
    assert_eq!(world.site.user(&code).await, TOO_MANY, "good codes are not looked at either");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_codes_cost_no_tries() {
    let world = World::with("").await;
    for wrong in 0..9 {
        assert_eq!(world.site.user(&format!("00000{wrong}")).await, NOBODY);
    }
    for _ in 0..20 {
        let person = world.person();
        let code = world.code(&person).await;
        assert_eq!(world.site.user(&code).await, good(&person));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qr_codes_have_a_pace_and_a_budget_for_the_day() {
    let world = World::with("").await;
    let mut made = 0;
    let refused = loop {
        let answer = world.site.create().await;
        if answer["success"] == false {
            break answer;
        }
        made += 1;
    };
    assert!((60..=65).contains(&made), "{made}");
    assert_eq!(refused["message"], "生成二维码过于频繁，请稍后再试");

    let world = World::of("", &["--callback-qr-per-day=2"]).await;
    for expected in [true, true, false, false] {
        assert_eq!(world.site.create().await["success"], expected);
    }
    assert_eq!(world.site.create().await["message"], "今天的二维码次数已用完，请改用验证码登录");
}
