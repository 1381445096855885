//! A back end that notifies a gateway, with the client that callback-service uses: one lasting connection, which
//! comes back by itself, and as many notices on it as you like.
//!
//!     NOTIFY_KEY=… cargo run -p protocol --example log_in -- 127.0.0.1:9999 shop SCENE NICKNAME

use std::error::Error;
use std::time::Duration;

use protocol::client::{Client, Link, NoAnswer, Settings};
use protocol::{Key, Notice};
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, name, scene, nickname] =
        words.try_into().map_err(|_| "say ADDRESS CLIENT SCENE NICKNAME")?;
    let key = Key::new(&std::env::var("NOTIFY_KEY")?.into())?;
    // For TLS: Some(ClientTls { ca: Some("ca.pem".into()), ..ClientTls::default() })
    let client = Client::start(Settings { name, key, addresses: vec![address], tls: None });

    let notice = Notice::Scan { scene: scene.parse()?, nickname: Some(nickname), code: None, by: None };
    let deadline = Instant::now() + Duration::from_secs(3);
    match client.send(notice, deadline).await {
        Ok(answer) if answer.status.is_recorded() => eprintln!("logged in: {}", answer.status.as_str()),
        Ok(answer) => eprintln!("not logged in: {}", answer.status.as_str()),
        Err(NoAnswer::NotSent) => eprintln!("certainly not logged in: {}", why(&client.link())),
        Err(NoAnswer::Unknown) => eprintln!("perhaps logged in; the same notice again will tell"),
    }
    Ok(())
}

fn why(link: &Link) -> String {
    match link {
        Link::Refused { code, .. } if code == "unauthorized" => "name and key do not go together".to_owned(),
        other => other.to_string(),
    }
}
