//! Single probes against a gateway that each case plays: its internal port, and its port for browsers.

#![allow(clippy::unwrap_used)]
#![allow(clippy::result_large_err, reason = "the WebSocket library says what a handshake is refused with")]

use futures_util::{SinkExt, StreamExt};
use protocol::{Answer, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;
use crate::logins::tests::played_gateway::Gateway;

/// What the played port for browsers does.
#[derive(Debug, Clone, Copy)]
enum Browsers {
    /// Sends these messages and closes with this code.
    Page(&'static [&'static str], u16),
    /// Answers this in place of a WebSocket.
    Http(&'static str),
    /// Is not there.
    Closed,
}

const WHOLE: &[&str] = &["qrcode_url", "heartbeat", "scanned", "scan_success"];

impl Browsers {
    /// Serves one connection; gives the subprotocols that it offered.
    async fn serve(self, listener: TcpListener) -> Option<String> {
        let (messages, code) = match self {
            Self::Closed => return None,
            Self::Http(answer) => {
                let mut stream = listener.accept().await.unwrap().0;
                let mut read = [0; 1024];
                assert!(stream.read(&mut read).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
                return None;
            }
            Self::Page(messages, code) => (messages, code),
        };
        let mut offered = None;
        let stream = listener.accept().await.unwrap().0;
        let mut socket = accept_hdr_async(stream, |request: &Request, mut response: Response| {
            assert!(request.headers().get("origin").is_none(), "no browser is there");
            let value = request.headers()["sec-websocket-protocol"].to_str().unwrap();
            offered = Some(value.to_owned());
            response.headers_mut().insert("sec-websocket-protocol", "saoma.v1".parse().unwrap());
            Ok(response)
        })
        .await
        .unwrap();
        for kind in messages {
            let message = format!(r#"{{"message_type":"{kind}","message":"too many"}}"#);
            socket.send(Message::text(message)).await.unwrap();
        }
        let frame = CloseFrame { code: code.into(), reason: "over".into() };
        socket.close(Some(frame)).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
        offered
    }
}

/// What the gateway answers to the notice of this kind, if not what it should.
type Odd = Option<(&'static str, Status)>;

/// One probe; gives its result, the notices that were heard, and the subprotocols that were offered.
async fn probed(
    odd: Odd,
    browsers: Browsers,
) -> (Result<Duration, Broken>, Vec<&'static str>, Option<String>) {
    let (gateway, client) = Gateway::start().await;
    let heard = gateway.play(move |notice| {
        let status = odd.filter(|(kind, _)| *kind == notice.kind()).map(|(_, status)| status);
        Some(match notice {
            Notice::Probe => {
                let scene = Scene::random();
                let resume = Some(Resume(format!("{scene}.secret")));
                Answer { scene: Some(scene), resume, ..Answer::new(status.unwrap_or(Status::Ok)) }
            }
            _ => Answer { state: Some(State::Scanned), ..Answer::new(status.unwrap_or(Status::Delivered)) },
        })
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target: Target = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let serving = tokio::spawn(browsers.serve(listener));
    if matches!(browsers, Browsers::Closed) {
        serving.await.unwrap();
        return (once(&client, &target).await, heard.kinds(), None);
    }
    let result = once(&client, &target).await;
    // Where no page was opened it still waits.
    let offered = if heard.kinds().len() > 1 { serving.await.unwrap() } else { None };
    (result, heard.kinds(), offered)
}

#[tokio::test]
async fn a_page_that_hears_of_its_scan_is_proof() {
    let (result, heard, offered) = probed(None, Browsers::Page(WHOLE, DONE)).await;
    assert!(result.unwrap() < WITHIN);
    assert_eq!(heard, ["probe", "claim", "scan"]);
    let offered = offered.unwrap();
    assert!(offered.starts_with("saoma.v1, resume.") && offered.ends_with(".secret"), "{offered}");
}

#[tokio::test]
async fn every_way_of_failing_has_its_fault_and_says_why() {
    let whole = Browsers::Page(WHOLE, DONE);
    for (odd, browsers, fault, why) in [
        (Some(("probe", Status::Bad)), whole, Fault::OldGateway, "bad"),
        (Some(("probe", Status::Forbidden)), whole, Fault::NoRight, "forbidden"),
        (Some(("probe", Status::Unknown)), whole, Fault::NotOpened, "unknown"),
        (None, Browsers::Closed, Fault::NoSocket, "refused"),
        (
            None,
            Browsers::Http("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 5\r\n\r\nnginx"),
            Fault::NoSocket,
            "502",
        ),
        (None, Browsers::Page(&[], 4001), Fault::NotShown, "closed with 4001"),
        (None, Browsers::Page(&["error"], 1013), Fault::NotShown, "too many"),
        (Some(("claim", Status::Unknown)), whole, Fault::NotRecorded, "the claim was answered unknown"),
        (Some(("scan", Status::Taken)), whole, Fault::NotRecorded, "the scan was answered taken"),
        (Some(("scan", Status::Stored)), whole, Fault::NotDelivered, "away"),
        (None, Browsers::Page(&["qrcode_url"], 1001), Fault::NotDelivered, "scanned did not come"),
        (
            None,
            Browsers::Page(&["qrcode_url", "scanned"], 1001),
            Fault::NotDelivered,
            "scan_success did not come",
        ),
        (None, Browsers::Page(WHOLE, 1001), Fault::NotDelivered, "the close with 4010 did not come"),
    ] {
        let (result, _, _) = probed(odd, browsers).await;
        let broken = result.unwrap_err();
        assert!(broken.fault == fault && broken.why.contains(why), "{odd:?} {browsers:?}: {broken}");
        assert!(!broken.to_string().contains("secret"), "{broken}");
    }
}
