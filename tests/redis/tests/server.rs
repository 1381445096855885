//! One server, asked over a plain socket, so that the tests do not depend on the harness's own client.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use test_redis::{Options, PATIENCE, Redis};

/// How long a test waits to see that no answer comes.
const A_MOMENT: Duration = Duration::from_millis(500);

/// A connection that speaks Redis's inline commands.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(redis: &Redis) -> std::io::Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect(("127.0.0.1", redis.port()))?)))
    }

    fn say(&mut self, command: &str) {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
    }

    /// The next line that comes within `patience`.
    fn hear(&mut self, patience: Duration) -> Option<String> {
        self.0.get_mut().set_read_timeout(Some(patience)).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).ok().filter(|length| *length > 0)?;
        Some(line.trim_end().to_owned())
    }

    fn ask(&mut self, command: &str) -> String {
        self.say(command);
        self.hear(PATIENCE).expect("Redis answers")
    }
}

#[tokio::test]
async fn each_server_answers_with_data_of_its_own() {
    let (one, other) = tokio::join!(Redis::start(), Redis::start());
    assert_ne!(one.port(), other.port());
    assert_eq!(one.url(), format!("redis://127.0.0.1:{}", one.port()));
    let (mut at_one, mut at_other) = (Client::connect(&one).unwrap(), Client::connect(&other).unwrap());
    assert_eq!(at_one.ask("SET scene granted"), "+OK");
    assert_eq!(at_one.ask("EXISTS scene"), ":1");
    assert_eq!(at_other.ask("EXISTS scene"), ":0");
    assert_eq!(one.cli(&["GET", "scene"]).await, "granted");
    assert_eq!(one.cli(&["MGET", "scene", "none", "scene"]).await, "granted\n\ngranted");
    let wrong = one.try_cli(&["HGET", "scene", "state"]).await.unwrap_err();
    assert!(wrong.contains("WRONGTYPE"), "{wrong}");
}

#[tokio::test]
async fn its_clock_can_be_set_while_it_runs() {
    let redis = Redis::start_with(Options { clock: true, ..Options::default() }).await;
    let mut client = Client::connect(&redis).unwrap();
    let mut time = || {
        assert_eq!(client.ask("TIME"), "*2");
        let mut number = || {
            client.hear(PATIENCE).unwrap();
            client.hear(PATIENCE).unwrap().parse::<i64>().unwrap()
        };
        let seconds = number();
        number();
        seconds
    };
    let began = time();
    redis.set_clock(-10_800);
    assert!((-10_810..-10_700).contains(&(time() - began)));
    redis.set_clock(10_800);
    assert!((10_790..10_900).contains(&(time() - began)));
}

#[tokio::test(start_paused = true)]
async fn it_starts_and_stops_under_paused_time() {
    let mut redis = Redis::start().await;
    redis.stop().await;
    redis.start_again().await;
    assert_eq!(redis.cli(&["PING"]).await, "PONG");
}

#[tokio::test]
async fn a_frozen_server_takes_connections_and_answers_when_it_thaws() {
    let redis = Redis::start().await;
    let mut before = Client::connect(&redis).unwrap();
    assert_eq!(before.ask("PING"), "+PONG");
    redis.freeze();
    before.say("PING");
    let mut during = Client::connect(&redis).unwrap();
    during.say("PING");
    assert_eq!((before.hear(A_MOMENT), during.hear(A_MOMENT)), (None, None));
    redis.thaw();
    assert_eq!(before.hear(PATIENCE).as_deref(), Some("+PONG"));
    assert_eq!(during.hear(PATIENCE).as_deref(), Some("+PONG"));
}

#[tokio::test]
async fn what_was_stopped_comes_back_with_its_data_or_empty_on_the_same_port() {
    let mut redis = Redis::start().await;
    let port = redis.port();
    redis.cli(&["SET", "scene", "granted"]).await;
    let mut client = Client::connect(&redis).unwrap();
    assert_eq!(client.ask("PING"), "+PONG");
    redis.freeze();
    redis.stop().await;
    client.say("PING");
    assert_eq!(client.hear(PATIENCE), None, "a stopped server closes its connections");
    assert!(Client::connect(&redis).is_err(), "nobody listens");
    redis.start_again().await;
    assert_eq!(redis.port(), port);
    assert_eq!(Client::connect(&redis).unwrap().ask("EXISTS scene"), ":1");
    redis.stop().await;
    redis.start_again_empty().await;
    assert_eq!(Client::connect(&redis).unwrap().ask("EXISTS scene"), ":0");
}

#[tokio::test]
async fn a_kill_loses_what_was_not_written_and_keeps_what_was() {
    for append in [false, true] {
        let mut redis = Redis::start_with(Options { append, ..Options::default() }).await;
        assert_eq!(Client::connect(&redis).unwrap().ask("SET scene granted"), "+OK");
        redis.kill();
        assert!(Client::connect(&redis).is_err(), "nobody listens");
        redis.start_again().await;
        let kept = if append { ":1" } else { ":0" };
        assert_eq!(Client::connect(&redis).unwrap().ask("EXISTS scene"), kept);
        redis.kill();
        redis.start_again_empty().await;
        assert_eq!(Client::connect(&redis).unwrap().ask("EXISTS scene"), ":0");
    }
}

#[tokio::test]
async fn passwords_and_rights_bind_clients_and_not_the_harness() {
    let options = Options {
        password: Some("opensesame".to_owned()),
        users: vec!["gateway on >letmein ~sa:* +@all -publish".to_owned()],
        ..Options::default()
    };
    let redis = Redis::start_with(options).await;
    assert_eq!(redis.url(), format!("redis://:opensesame@127.0.0.1:{}", redis.port()));
    let as_gateway = redis.url_as("gateway", "letmein");
    assert_eq!(as_gateway, format!("redis://gateway:letmein@127.0.0.1:{}", redis.port()));

    let mut client = Client::connect(&redis).unwrap();
    assert!(client.ask("GET sa:1").starts_with("-NOAUTH"));
    assert_eq!(client.ask("AUTH opensesame"), "+OK");
    assert_eq!(client.ask("SET other 1"), "+OK");
    assert_eq!(client.ask("AUTH gateway letmein"), "+OK");
    assert_eq!(client.ask("SET sa:1 1"), "+OK");
    assert!(client.ask("SET other 1").starts_with("-NOPERM"));
    assert!(client.ask("PUBLISH sa:1 woken").starts_with("-NOPERM"));

    redis.cli(&["ACL", "SETUSER", "default", "off"]).await;
    redis.cli(&["ACL", "SETUSER", "gateway", "+publish", "allchannels"]).await;
    assert_eq!(client.ask("PUBLISH sa:1 woken"), ":0");
    assert_eq!(redis.cli(&["ACL", "WHOAMI"]).await, "operator");
}

#[tokio::test]
async fn with_tls_nothing_else_is_spoken_and_only_its_own_authority_vouches_for_it() {
    let tls = || Options { tls: true, ..Options::default() };
    let (redis, other) = tokio::join!(Redis::start_with(tls()), Redis::start_with(tls()));
    assert_eq!(redis.url(), format!("rediss://127.0.0.1:{}", redis.port()));
    assert_eq!(redis.cli(&["PING"]).await, "PONG");
    let mut plain = Client::connect(&redis).unwrap();
    plain.say("PING");
    assert_ne!(plain.hear(PATIENCE).as_deref(), Some("+PONG"));

    let ping = |authority: &std::path::Path| {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &redis.port().to_string(), "--tls", "--cacert"]).arg(authority).arg("PING");
        cli.output().unwrap().stdout
    };
    assert_eq!(ping(redis.authority()), b"PONG\n");
    assert_eq!(ping(other.authority()), b"", "another authority says nothing about it");
}

#[tokio::test]
async fn beyond_its_memory_it_refuses_to_write() {
    let redis = Redis::start_with(Options { maxmemory: Some(4 << 20), ..Options::default() }).await;
    let value = "x".repeat(100_000);
    let mut refused = None;
    for number in 0..100 {
        if let Err(error) = redis.try_cli(&["SET", &number.to_string(), &value]).await {
            refused = Some((number, error));
            break;
        }
    }
    let (number, error) = refused.expect("10 MB do not fit into 4 MiB");
    assert!(number > 0 && error.contains("OOM"), "{number}: {error}");
    assert_eq!(redis.cli(&["STRLEN", "0"]).await, value.len().to_string(), "nothing is evicted");
}

#[tokio::test]
async fn a_wrong_option_is_told_with_redis_own_words() {
    let wrong = Options { more: vec!["maxmemory much".to_owned()], ..Options::default() };
    let failed = tokio::spawn(Redis::start_with(wrong)).await.err().expect("it does not start").into_panic();
    let said = failed.downcast::<String>().unwrap();
    assert!(said.contains("redis-server does not start"), "{said}");
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let redis = Redis::start().await;
    let port = redis.port();
    redis.freeze();
    drop(redis);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

/// The test below runs this test in a process of its own, and kills that process.
#[tokio::test]
#[ignore = "is run by another test"]
async fn victim() {
    let redis = Redis::start().await;
    eprintln!("\nport {}", redis.port());
    std::thread::sleep(PATIENCE);
}

#[test]
fn a_server_ends_with_its_test_however_that_ends() {
    let this = std::env::current_exe().unwrap();
    // A killed process leaves its folders here.
    let folder = tempfile::tempdir().unwrap();
    let mut victim = Command::new(this);
    victim.env("TMPDIR", folder.path());
    victim.args(["--exact", "victim", "--ignored", "--nocapture"]).stdin(Stdio::null());
    let mut victim = victim.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(victim.stderr.take().unwrap()).lines().map_while(Result::ok);
    let port: u16 = lines.find_map(|line| line.strip_prefix("port ")?.parse().ok()).expect("it starts");
    let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(answers());
    victim.kill().unwrap();
    victim.wait().unwrap();
    let began = Instant::now();
    while answers() {
        assert!(began.elapsed() < PATIENCE, "the server outlives its test");
        std::thread::yield_now();
    }
}
