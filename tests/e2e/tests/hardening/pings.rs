//! Pings by the thousand: each would be answered by a pong.

use std::time::Instant;

use e2e::raw::{End, Raw, masked};

use crate::system::System;

const PINGS: usize = 20_000;

#[tokio::test]
async fn twenty_thousand_pings_are_not_twenty_thousand_pongs() {
    let system = System::start().await;
    let witness = system.page().await;
    let raw = Raw::connect(system.gateway.address("browsers")).await;
    let mut raw = raw.upgrade("/ws", &[]).await.unwrap();
    let began = Instant::now();
    raw.expect("qrcode_url").await;
    raw.write(masked(9, b"").repeat(PINGS)).await;
    let (mut pongs, mut close) = (0, None);
    while let Some((opcode, payload)) = raw.frame().await {
        match opcode {
            0x8a => pongs += 1,
            0x88 => close = payload.first_chunk().copied().map(u16::from_be_bytes),
            _ => {}
        }
    }
    let seconds = began.elapsed().as_secs();
    eprintln!("{pongs} pongs in {seconds} s");
    // Twenty at once, and then ten a second.
    assert!((1..=30 + 10 * seconds).contains(&pongs), "{pongs} pongs in {seconds} s");
    assert_eq!(close, Some(4008));
    assert_eq!(raw.ended().await, End::Closed);
    system.scanned(witness).await;
    system.logs_in_at_once("after a flood of pings").await;
}
