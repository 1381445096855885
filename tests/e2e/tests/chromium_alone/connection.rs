//! Connections that are silent, asleep, throttled or cut off from the network.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_connection_that_is_silent_for_forty_seconds_is_replaced() {
    let page = Alone::waiting().await;
    page.pass(100_000).await;
    page.world("silence()").await;
    assert_eq!(page.pass(39_999).await["attempts"], 1);
    is(&page.pass(1).await, "connecting");
    page.tries_again_in(1500, Some(KEY)).await;
    // Nor is an attempt waited for that gets no answer.
    assert_eq!(page.pass(39_000).await["holds"], true);
    let seen = page.pass(1000 + 3000 + 2 * TICK).await;
    has(&seen, &json!({ "holds": true, "attempts": 3 }));
}

#[tokio::test]
async fn a_tab_out_of_sight_whose_timers_are_throttled_keeps_its_connection() {
    let page = Alone::waiting().await;
    page.say(&code(3600)).await;
    page.world("see(false)").await;
    page.world("pass(1790000, 60000)").await;
    let seen = page.world("see(true)").await;
    is(&seen, "waiting");
    has(&seen, &json!({ "attempts": 1, "countdown": "Expires in 30:10" }));
    // A timer that comes late is no awakening there.
    page.anew().await;
    page.world("see(false)").await;
    page.world("silence()").await;
    has(&page.world("pass(35000, 30000)").await, &json!({ "holds": true, "attempts": 1 }));
}

#[tokio::test]
async fn after_sleep_a_connection_that_only_looks_open_is_replaced_at_once() {
    let page = Alone::waiting().await;
    // Heard within a heartbeat: nothing is wrong with it.
    page.world("jump(27000)").await;
    assert_eq!(page.world("see(true)").await["attempts"], 1);
    page.world("jump(1000)").await;
    let seen = page.world("see(true)").await;
    is(&seen, "connecting");
    has(&seen, &json!({ "attempts": 2, "offers": offers(Some(KEY)) }));

    // Taken back from the browser's history.
    page.anew().await;
    assert_eq!(page.world("tell('pageshow')").await["attempts"], 1);
    assert_eq!(page.world("tell('pageshow', { persisted: true })").await["attempts"], 2);

    // Frozen meanwhile, a page is told of the close only after somebody has turned to it.
    page.anew().await;
    page.world("close()").await;
    assert_eq!(page.world("see(true)").await["attempts"], 2);

    // The lid was closed over a page in full sight, and no event says so.
    page.anew().await;
    page.world("jump(3600000)").await;
    let seen = page.pass(TICK).await;
    has(&seen, &json!({ "attempts": 2, "offers": offers(Some(KEY)) }));
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nobody_waiting() {
    let page = Alone::waiting().await;
    page.world("jump(-3600000)").await;
    is(&page.pass(119_000).await, "waiting");
    is(&page.pass(1000 + TICK).await, "connecting");
    page.anew().await;
    page.world("end(1006)").await;
    page.world("jump(-3600000)").await;
    assert_eq!(page.pass(3000).await["attempts"], 2);
}

#[tokio::test]
async fn the_network_going_and_coming_is_believed_at_once() {
    let page = Alone::waiting().await;
    page.world("chance(0.99)").await;
    let seen = page.world("tell('offline')").await;
    is(&seen, "connecting");
    assert_eq!(seen["holds"], false);
    let seen = page.world("tell('online')").await;
    has(&seen, &json!({ "attempts": 2, "offers": offers(Some(KEY)) }));
    // A second sign of the same awakening does not disturb the attempt that is under way.
    page.pass(1000).await;
    for sign in ["see(true)", "tell('online')"] {
        assert_eq!(page.world(sign).await["attempts"], 2, "{sign}");
    }
    // One that began before the network was there may hang for long.
    page.pass(2000).await;
    assert_eq!(page.world("tell('online')").await["attempts"], 3);
    // A long back-off is not waited out.
    for _ in 0..4 {
        page.world("end(1006)").await;
        page.pass(30_000).await;
    }
    let before = page.world("end(1006)").await["attempts"].as_u64().unwrap();
    assert_eq!(page.world("see(true)").await["attempts"], before + 1);
    // A network is seldom ready when it says so; if this attempt fails, the next one is made soon.
    is(&page.world("end(1006)").await, "connecting");
    page.tries_again_in(2970, Some(KEY)).await;
}
