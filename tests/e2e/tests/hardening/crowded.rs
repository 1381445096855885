//! One address that opens all that it can get.

use std::net::{Ipv4Addr, SocketAddr};

use e2e::raw::{Raw, Reply, metric};
use tokio::net::TcpSocket;

use crate::process::until;
use crate::system::{Options, System};

/// As many as there are places.
const CROWD: usize = 300;

/// What one address gets of them.
const SHARE: usize = CROWD / 4;

/// A person at home: another address of this machine.
const HOME: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

async fn from_home(door: SocketAddr) -> Raw {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((HOME, 0).into()).unwrap();
    Raw(socket.connect(door).await.unwrap())
}

#[tokio::test]
async fn three_hundred_connections_of_one_address_keep_nobody_else_out() {
    let system = System::start_with(Options { max_pages: CROWD, ..Options::default() }).await;
    let browsers = system.gateway.address("browsers");
    let (mut held, mut refused) = (Vec::new(), 0);
    for _ in 0..CROWD {
        match Raw::connect(browsers).await.upgrade("/ws", &[]).await {
            Ok(page) => held.push(page),
            Err(Reply { status: 503, .. }) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((held.len(), refused), (SHARE, CROWD - SHARE));
    let count = metric(system.gateway.address("admin"), "gateway_refused_total").await;
    assert_eq!(count, (CROWD - SHARE) as u64);

    let mut page = from_home(browsers).await.upgrade("/ws", &[]).await.unwrap();
    page.expect("qrcode_url").await;
    let log = system.gateway.log();
    let told =
        format!("one address has {SHARE} connections, and gets no more; name it in GATEWAY_TRUSTED_PROXIES");
    assert_eq!(log.matches(&told).count(), 1, "{log}");
    drop(held);
    until("the gateway has noticed that the crowd left", || system.pages_held() <= 1).await;
    system.log_in().await;
}
