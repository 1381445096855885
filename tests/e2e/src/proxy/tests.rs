//! The proxy in front of small servers that the tests play.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::page::PATIENCE;

/// How long a test waits to see that no bytes come.
const A_MOMENT: Duration = Duration::from_millis(300);

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Takes the next connection that reaches an upstream.
async fn accept(upstream: &TcpListener) -> TcpStream {
    timeout(PATIENCE, upstream.accept()).await.expect("a connection comes").unwrap().0
}

/// An address where no program listens, now or later.
fn nowhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, test_redis::free_port()).into()
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

/// Reads the next bytes, at most eight.
async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = [0; 8];
    let length = timeout(PATIENCE, stream.read(&mut bytes)).await.expect("something is heard")?;
    Ok(bytes[..length].to_vec())
}

async fn hears_nothing(stream: &mut TcpStream) {
    let heard = timeout(A_MOMENT, stream.read_u8()).await;
    assert!(heard.is_err(), "heard {heard:?}");
}

/// Checks that a connection was ended by a reset.
async fn is_reset(stream: &mut TcpStream) {
    let failed = read(stream).await.expect_err("a reset");
    assert!(matches!(failed.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{failed}");
}

async fn until(proxy: &Proxy, condition: impl Fn(Counts) -> bool) {
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    let reached = timeout(PATIENCE, async {
        while !condition(proxy.counts()) {
            pace.tick().await;
        }
    });
    assert!(reached.await.is_ok(), "{:?}", proxy.counts());
}

/// A proxy with one connection through it: the client's end and the upstream's.
async fn joined() -> (Proxy, TcpListener, TcpStream, TcpStream) {
    let (listener, address) = listen().await;
    let proxy = Proxy::before(address).await;
    let mut client = connect(&proxy).await;
    let mut upstream = accept(&listener).await;
    client.write_all(b"hello").await.unwrap();
    assert_eq!(read(&mut upstream).await.unwrap(), b"hello");
    upstream.write_all(b"yes").await.unwrap();
    assert_eq!(read(&mut client).await.unwrap(), b"yes");
    (proxy, listener, client, upstream)
}

#[tokio::test]
async fn bytes_and_ends_pass_both_ways() {
    let (proxy, _listener, mut client, mut upstream) = joined().await;
    client.shutdown().await.unwrap();
    assert_eq!(read(&mut upstream).await.unwrap(), b"", "the client's end is heard");
    upstream.write_all(b"bye").await.unwrap();
    assert_eq!(read(&mut client).await.unwrap(), b"bye", "and the upstream may still answer");
    drop(upstream);
    assert_eq!(read(&mut client).await.unwrap(), b"");
    until(&proxy, |counts| counts == Counts { accepted: 1, ..Counts::default() }).await;
}

#[tokio::test]
async fn a_cut_resets_both_sides_of_what_is_open_and_nothing_else() {
    let (proxy, listener, mut client, mut upstream) = joined().await;
    proxy.cut();
    is_reset(&mut client).await;
    is_reset(&mut upstream).await;
    let mut next = connect(&proxy).await;
    let mut upstream = accept(&listener).await;
    next.write_all(b"again").await.unwrap();
    assert_eq!(read(&mut upstream).await.unwrap(), b"again");
    until(&proxy, |counts| counts == Counts { accepted: 2, cut: 1, open: 1, ..Counts::default() }).await;
}

#[tokio::test]
async fn a_reset_of_one_side_reaches_the_other() {
    let (proxy, _listener, mut client, upstream) = joined().await;
    upstream.set_zero_linger().unwrap();
    drop(upstream);
    is_reset(&mut client).await;
    until(&proxy, |counts| counts == Counts { accepted: 1, ..Counts::default() }).await;
}

#[tokio::test]
async fn refused_connections_are_counted_and_open_ones_go_on() {
    let (proxy, listener, mut client, mut upstream) = joined().await;
    proxy.refuse();
    is_reset(&mut connect(&proxy).await).await;
    client.write_all(b"still").await.unwrap();
    assert_eq!(read(&mut upstream).await.unwrap(), b"still");
    until(&proxy, |counts| counts == Counts { accepted: 2, refused: 1, open: 1, ..Counts::default() }).await;
    proxy.heal();
    let _next = connect(&proxy).await;
    accept(&listener).await;
}

#[tokio::test]
async fn an_upstream_that_is_not_there_refuses() {
    let proxy = Proxy::before(nowhere()).await;
    is_reset(&mut connect(&proxy).await).await;
    until(&proxy, |counts| counts == Counts { accepted: 1, refused: 1, ..Counts::default() }).await;
}

#[tokio::test]
async fn a_stalled_network_holds_everything_and_loses_nothing() {
    let (proxy, listener, mut client, mut upstream) = joined().await;
    proxy.stall(Direction::Both);
    client.write_all(b"one").await.unwrap();
    upstream.write_all(b"two").await.unwrap();
    let mut late = connect(&proxy).await;
    late.write_all(b"three").await.unwrap();
    tokio::join!(hears_nothing(&mut client), hears_nothing(&mut upstream), hears_nothing(&mut late));
    assert!(timeout(A_MOMENT, listener.accept()).await.is_err(), "new connections stay with the proxy");
    proxy.heal();
    assert_eq!(read(&mut upstream).await.unwrap(), b"one");
    assert_eq!(read(&mut client).await.unwrap(), b"two");
    let mut upstream = accept(&listener).await;
    assert_eq!(read(&mut upstream).await.unwrap(), b"three");
}

#[tokio::test]
async fn each_direction_stalls_alone() {
    let (proxy, _listener, mut client, mut upstream) = joined().await;
    proxy.stall(Direction::ToClient);
    upstream.write_all(b"one").await.unwrap();
    client.write_all(b"two").await.unwrap();
    assert_eq!(read(&mut upstream).await.unwrap(), b"two");
    hears_nothing(&mut client).await;
    proxy.heal();
    assert_eq!(read(&mut client).await.unwrap(), b"one");

    proxy.stall(Direction::ToUpstream);
    upstream.write_all(b"three").await.unwrap();
    client.write_all(b"four").await.unwrap();
    assert_eq!(read(&mut client).await.unwrap(), b"three");
    hears_nothing(&mut upstream).await;
    proxy.heal();
    assert_eq!(read(&mut upstream).await.unwrap(), b"four");
}

#[tokio::test]
async fn through_a_stalled_network_nobody_hears_of_the_others_end() {
    for by_reset in [false, true] {
        let (proxy, _listener, mut client, upstream) = joined().await;
        proxy.stall(Direction::Both);
        if by_reset {
            upstream.set_zero_linger().unwrap();
        }
        drop(upstream);
        hears_nothing(&mut client).await;
        proxy.heal();
        match by_reset {
            false => assert_eq!(read(&mut client).await.unwrap(), b""),
            true => is_reset(&mut client).await,
        }
    }
}

#[tokio::test]
async fn a_stalled_connection_can_be_cut() {
    let (proxy, _listener, mut client, mut upstream) = joined().await;
    proxy.stall(Direction::Both);
    let mut late = connect(&proxy).await;
    until(&proxy, |counts| counts.open == 2).await;
    proxy.cut();
    tokio::join!(is_reset(&mut client), is_reset(&mut upstream), is_reset(&mut late));
    until(&proxy, |counts| counts.cut == 2).await;
}

#[tokio::test]
async fn a_stalled_network_holds_only_so_much() {
    let (proxy, _listener, mut client, _upstream) = joined().await;
    proxy.stall(Direction::Both);
    let chunk = vec![0; 1 << 20];
    let mut taken = 0;
    // The buffers of the system hold a few megabytes on each side.
    while taken < 64 && timeout(A_MOMENT * 3, client.write_all(&chunk)).await.is_ok() {
        taken += 1;
    }
    assert!(taken < 64, "64 MiB were taken");
}

#[tokio::test]
async fn what_an_upstream_takes_and_drops_without_a_word_is_counted() {
    let (listener, address) = listen().await;
    let proxy = Proxy::before(address).await;
    let mut client = connect(&proxy).await;
    client.write_all(b"hello").await.unwrap();
    let mut upstream = accept(&listener).await;
    assert_eq!(read(&mut upstream).await.unwrap(), b"hello");
    drop(upstream);
    assert_eq!(read(&mut client).await.unwrap(), b"");
    drop(client);
    until(&proxy, |counts| counts.open == 0).await;
    assert_eq!(proxy.counts(), Counts { accepted: 1, unanswered: 1, ..Counts::default() });

    // A client that leaves by itself is not counted as unanswered.
    let mut client = connect(&proxy).await;
    client.write_all(b"hello").await.unwrap();
    let mut upstream = accept(&listener).await;
    assert_eq!(read(&mut upstream).await.unwrap(), b"hello");
    client.set_zero_linger().unwrap();
    drop(client);
    is_reset(&mut upstream).await;
    until(&proxy, |counts| counts.open == 0).await;
    assert_eq!(proxy.counts(), Counts { accepted: 2, unanswered: 1, ..Counts::default() });
}

#[tokio::test]
async fn dropped_it_ends_with_all_its_connections() {
    let (proxy, _listener, mut client, mut upstream) = joined().await;
    let address = proxy.address();
    proxy.stall(Direction::Both);
    drop(proxy);
    tokio::join!(is_reset(&mut client), is_reset(&mut upstream));
    timeout(PATIENCE, async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("nobody listens any more");
}

/// A server that sends its name to every connection, with an admin port that says whether it is ready.
struct Server {
    place: Place,
    ready: Arc<AtomicBool>,
    serving: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(name: &'static str) -> Self {
        let (listener, address) = listen().await;
        let (admin_listener, admin) = listen().await;
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(name.as_bytes()).await.unwrap();
            }
        });
        let ready = Arc::new(AtomicBool::new(true));
        let says = Arc::clone(&ready);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = admin_listener.accept().await.unwrap();
                let mut question = Vec::new();
                while !question.ends_with(b"\r\n\r\n") {
                    question.push(stream.read_u8().await.unwrap());
                }
                assert!(question.starts_with(b"GET /readyz "));
                let status = if says.load(Ordering::Relaxed) { "200 OK" } else { "503 Service Unavailable" };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { place: Place { address, admin }, ready, serving }
    }
}

/// The names of the servers that take the next connections; an empty name if none does.
async fn takers(balancer: &Proxy, connections: usize) -> Vec<String> {
    let mut takers = Vec::new();
    for _ in 0..connections {
        let said = read(&mut connect(balancer).await).await.unwrap_or_default();
        takers.push(String::from_utf8(said).unwrap());
    }
    takers
}

#[tokio::test]
async fn a_balancer_takes_turns_among_those_that_are_ready() {
    let servers = [Server::start("a").await, Server::start("b").await, Server::start("c").await];
    let balancer = Proxy::balance(&servers.each_ref().map(|server| server.place)).await;
    let mut first = takers(&balancer, 3).await;
    let again = takers(&balancer, 3).await;
    assert_eq!(first, again, "each has its turn");
    first.sort();
    assert_eq!(first, ["a", "b", "c"]);

    let drained = servers[1].place.address;
    servers[1].ready.store(false, Ordering::Relaxed);
    balancer.until_ready(drained, false).await;
    assert!(!balancer.ready().contains(&drained));
    assert!(!takers(&balancer, 6).await.contains(&"b".to_owned()), "it takes none while it drains");
    servers[1].ready.store(true, Ordering::Relaxed);
    balancer.until_ready(drained, true).await;
    assert!(takers(&balancer, 3).await.contains(&"b".to_owned()));
    assert_eq!(balancer.counts().refused, 0);
}

#[tokio::test]
async fn a_balancer_tries_the_next_one_and_counts_what_nobody_takes() {
    let servers = [Server::start("a").await, Server::start("b").await];
    let balancer = Proxy::balance(&servers.each_ref().map(|server| server.place)).await;
    // The server says that it is ready but does not listen, as in the moment of a crash.
    servers[0].serving.abort();
    while TcpStream::connect(servers[0].place.address).await.is_ok() {}
    assert_eq!(takers(&balancer, 4).await, ["b"; 4]);
    assert_eq!(balancer.counts().refused, 0);
    servers[1].ready.store(false, Ordering::Relaxed);
    balancer.until_ready(servers[1].place.address, false).await;
    assert_eq!(takers(&balancer, 2).await, [""; 2]);
    assert_eq!(balancer.counts().refused, 2);
    assert_eq!(balancer.counts().accepted, 6);
}

#[tokio::test]
async fn a_place_that_does_not_answer_is_not_ready() {
    let server = Server::start("a").await;
    let (_silent, admin) = listen().await;
    let places = [
        Place { admin, ..server.place },
        Place { admin: nowhere(), ..server.place },
        Place { address: nowhere(), ..server.place },
    ];
    let balancer = Proxy::balance(&places).await;
    assert_eq!(balancer.ready(), [places[2].address], "whose admin port answers");
}
