//! An echo server made of the gateway's own connections, for `tests/websocket/run.sh`. It takes a free port on loopback
//! and writes its address to the standard output.

use std::net::{Ipv4Addr, SocketAddr};

use server::listen;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the script reads the address")]
async fn main() -> anyhow::Result<()> {
    let listener = listen::bind("the echo", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    println!("{}", listener.local_addr()?);
    ws_gateway::testing::echo::serve(listener).await
}
