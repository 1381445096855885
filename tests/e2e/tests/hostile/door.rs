//! Requests at WeChat's door that are large, slow, early, or no push at all.

use std::time::{Duration, Instant};

use e2e::raw::Raw;

use super::stack;
use super::target::{Target, head, query_of, refused, set, without};

/// Bytes of a push that the callback service takes: a real one has a few thousand at most.
const MAX_PUSH: usize = 64 * 1024;

#[tokio::test]
async fn a_push_that_is_too_large_is_told_so_however_it_comes() {
    let stack = stack().await;
    let target = Target::of(&stack).await;
    let mut envelope = target.sealed(&stack);
    let query = query_of(&envelope);
    let padded = |size: usize| {
        let padding = " ".repeat(size - envelope.body.len());
        format!("{}{padding}", envelope.body)
    };
    for (size, chunked) in [(MAX_PUSH + 1, false), (MAX_PUSH + 1, true), (9 << 20, false), (9 << 20, true)] {
        let mut body = padded(size);
        let mut header = format!("Content-Length: {size}\r\n");
        if chunked {
            header = "Transfer-Encoding: chunked\r\n".to_owned();
            body = format!("{size:x}\r\n{body}\r\n0\r\n\r\n");
        }
        let head = head("POST", &query, &header);
        let reply = Raw::ask(stack.callback.pushes, &head, body.as_bytes()).await;
        assert_eq!((reply.status, reply.body.as_str()), (413, ""), "{size}, chunked {chunked}");

        // Whoever writes everything before it reads gets to see the answer too.
        let mut naive = Raw::connect(stack.callback.pushes).await;
        naive.write(head).await;
        naive.write(body).await;
        let reply = naive.reply().await.expect("the refusal is read");
        assert_eq!(reply.status, 413, "{size}, chunked {chunked}");
    }
    assert_eq!(refused(&stack, "size").await, 8);
    envelope.body = padded(MAX_PUSH);
    target.untouched_then_completed_by(&stack, &envelope).await;
}

/// The signature is in the query, so that a stranger's body is never kept.
#[tokio::test]
async fn a_stranger_is_refused_before_the_body_is_there() {
    let stack = stack().await;
    let target = Target::of(&stack).await;
    let good = target.sealed(&stack);
    let mut forged = good.clone();
    set(&mut forged, "signature", "0".repeat(40));
    let in_plaintext = without(good.clone(), "encrypt_type");
    for (envelope, stage) in [(&forged, "signature"), (&in_plaintext, "mode")] {
        for length in ["Content-Length: 60000\r\n", "Transfer-Encoding: chunked\r\n"] {
            let mut raw = Raw::connect(stack.callback.pushes).await;
            raw.write(head("POST", &query_of(envelope), length)).await;
            assert_eq!(raw.reply().await.expect("it is answered").status, 403, "{stage}, {length}");
        }
        assert_eq!(refused(&stack, stage).await, 2);
    }
    assert_eq!(refused(&stack, "body").await, 0);
    target.untouched_then_completed_by(&stack, &good).await;
}

#[tokio::test]
async fn what_is_no_push_is_refused_without_an_echo() {
    let stack = stack().await;
    let target = Target::of(&stack).await;
    let envelope = target.sealed(&stack);
    let query = query_of(&envelope);
    let pushes = stack.callback.pushes;
    let length = format!("Content-Length: {}\r\n", envelope.body.len());
    let body = envelope.body.as_bytes();
    for (fault, head, status) in [
        ("PUT", head("PUT", &query, &length), 405),
        ("DELETE", head("DELETE", &query, &length), 405),
        ("another path", head("POST", &query, &length).replace("/wechat?", "/wechat/secret?"), 404),
        ("an encoded path", head("POST", &query, &length).replace("/wechat?", "/%77echat?"), 404),
        ("another case", head("POST", &query, &length).replace("/wechat?", "/WeChat?"), 404),
        ("no path", head("POST", &query, &length).replace("/wechat?", "/?"), 404),
    ] {
        let reply = Raw::ask(pushes, &head, body).await;
        assert_eq!(reply.status, status, "{fault}");
        assert!(!reply.body.contains("secret") && !reply.body.contains(&target.openid), "{fault}: {reply:?}");
    }
    assert_eq!(refused(&stack, "path").await, 4, "the console's URL is wrong");
    for (fault, bytes) in [
        ("no HTTP", "hello\r\n\r\n".to_owned()),
        ("two lengths", head("POST", &query, "Content-Length: 1\r\nContent-Length: 2\r\n")),
        ("a head without end", format!("GET /wechat HTTP/1.1\r\nX: {}", "x".repeat(20_000))),
    ] {
        let mut raw = Raw::connect(pushes).await;
        raw.write(bytes).await;
        let status = raw.reply().await.expect("it is answered").status;
        assert!((400..=431).contains(&status), "{fault}: {status}");
        raw.ended().await;
    }
    target.untouched_then_completed_by(&stack, &envelope).await;
}

/// WeChat's console shows the operator nothing but "token 验证失败".
#[tokio::test]
async fn a_slash_too_many_in_the_console_changes_nothing() {
    let stack = stack().await;
    for path in ["/wechat/?", "//wechat?"] {
        let target = Target::of(&stack).await;
        let verification = without(without(stack.wechat.seal("<xml/>", ""), "encrypt_type"), "msg_signature");
        let get =
            head("GET", &format!("{}&echostr=echo", query_of(&verification)), "").replace("/wechat?", path);
        let echoed = Raw::ask(stack.callback.pushes, &get, b"").await;
        assert_eq!((echoed.status, echoed.body.as_str()), (200, "echo"), "{path}");

        let push = target.sealed(&stack);
        let length = format!("Content-Length: {}\r\n", push.body.len());
        let post = head("POST", &query_of(&push), &length).replace("/wechat?", path);
        let reply = Raw::ask(stack.callback.pushes, &post, push.body.as_bytes()).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        target.ends_well().await;
    }
}

/// Checks of balancers sign nothing, and a 4xx takes every back end away.
#[tokio::test]
async fn a_balancers_check_finds_the_service_well() {
    let stack = stack().await;
    let ask = async |request: &str, version: &str| {
        let head = format!("{request} HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut raw = Raw::connect(stack.callback.pushes).await;
        raw.write(head).await;
        String::from_utf8(raw.rest().await.0).unwrap()
    };
    for version in ["1.0", "1.1"] {
        for request in ["GET /", "HEAD /", "GET /livez", "HEAD /livez", "HEAD /wechat"] {
            let answer = ask(request, version).await;
            assert!(answer.contains(" 200 OK\r\n"), "{request}: {answer}");
            assert_eq!(answer.ends_with("\r\n\r\n"), request.starts_with("HEAD"), "{request}: {answer}");
        }
        for (request, status) in [("POST /", "404"), ("GET /index.html", "404"), ("GET /wechat", "403")] {
            let answer = ask(request, version).await;
            assert!(answer.contains(status), "{request}: {answer}");
        }
    }
    assert_eq!(refused(&stack, "path").await, 0);
}

#[tokio::test]
async fn half_a_request_and_silence_is_let_go_of_in_time() {
    let stack = stack().await;
    let target = Target::of(&stack).await;
    let envelope = target.sealed(&stack);
    let whole = head("POST", &query_of(&envelope), &format!("Content-Length: {}\r\n", envelope.body.len()));
    let silence = async |bytes: &str| {
        let mut raw = Raw::connect(stack.callback.pushes).await;
        raw.write(bytes).await;
        let began = Instant::now();
        raw.ended().await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(7), "{} bytes: {took:?}", bytes.len());
    };
    let half_a_body = format!("{whole}{}", &envelope.body[..envelope.body.len() - 1]);
    tokio::join!(
        silence(""),
        silence("POST /wechat HTT"),
        silence(&whole[..whole.len() - 1]),
        silence(&whole),
        silence(&half_a_body),
    );
    assert_eq!(refused(&stack, "body").await, 2, "the two whose head was whole");
    target.untouched_then_completed_by(&stack, &envelope).await;
}
