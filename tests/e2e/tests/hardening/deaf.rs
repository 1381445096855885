//! Peers that talk and never listen: what they are owed waits in a service's memory.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use e2e::raw::{Raw, masked};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::process::{memory, peak_memory};
use crate::system::{Options, System};

const DEAF: usize = 200;

/// Codes of this size fill a connection in seconds, where those of WeChat's own address would take a minute.
const CODE: usize = 16 * 1024;

/// What a deaf page may cost of the gateway's own memory: 32 KiB that it is owed, 1 KiB that it said, its task,
/// the codes of its logins until their time is over, and what an allocator makes of them.
const EACH: usize = 8 * CODE + 64 * 1024;

/// A page with little room to read.
async fn open(browsers: SocketAddr) -> Raw {
    Raw::connect_narrow(browsers).await.upgrade("/ws", &[]).await.unwrap()
}

/// Says nearly all that a page may and reads nothing, until the gateway lets go.
async fn talk(mut page: Raw) {
    let mut pace = interval(Duration::from_millis(125));
    let (ping, refresh) = (masked(9, &[b'x'; 125]), masked(1, b"{\"message_type\":\"refresh\"}"));
    for number in 0.. {
        pace.tick().await;
        let words = if number % 16 == 0 { &refresh } else { &ping };
        if page.0.write_all(words).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn pages_that_never_read_cost_bounded_memory_and_their_own_sockets() {
    let qr_url = format!("http://{}", "x".repeat(CODE));
    let system = System::start_with(Options { qr_url, ..Options::default() }).await;
    let (browsers, gateway) = (system.gateway.address("browsers"), system.gateway.id());
    let witness = system.page().await;
    let before = memory(gateway);
    let deaf = (0..DEAF).map(|_| open(browsers)).collect::<JoinSet<_>>().join_all().await;
    assert_eq!(system.pages_held(), DEAF + 1);
    let began = Instant::now();
    let peak = peak_memory(gateway, async {
        let talking = deaf.into_iter().map(talk).collect::<JoinSet<_>>();
        system.logs_in_at_once("beside deaf pages").await;
        talking.join_all().await;
    })
    .await;
    let (took, cost) = (began.elapsed(), peak.saturating_sub(before) / DEAF);
    eprintln!("gone after {took:?}; each cost {cost} bytes");
    // Ten seconds from the moment in which there was no more room. TCP itself would take thirty.
    assert!(took < Duration::from_secs(25), "{took:?}");
    assert!(cost < EACH, "each cost {cost} bytes");
    assert_eq!(system.pages_held(), 1);
    system.scanned(witness).await;
}

/// Asks for one answer after another and reads none, until the service lets go.
async fn ask(door: SocketAddr) {
    let mut narrow = Raw::connect_narrow(door).await;
    let requests = "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    while narrow.0.write_all(requests.as_bytes()).await.is_ok() {}
}

#[tokio::test]
async fn answers_that_nobody_takes_end_their_connections() {
    let system = System::start().await;
    let doors = [system.gateway.address("browsers"), system.callback.address("pushes")];
    let began = Instant::now();
    let asking = doors.into_iter().flat_map(|door| (0..25).map(move |_| ask(door)));
    let asking = asking.collect::<JoinSet<_>>();
    system.logs_in_at_once("beside connections that only ask").await;
    asking.join_all().await;
    let took = began.elapsed();
    eprintln!("gone after {took:?}");
    // Ten seconds from the moment in which there was no more room.
    assert!((10..20).contains(&took.as_secs()), "{took:?}");
    system.is_ready().await;
}
