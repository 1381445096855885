//! Starts a Redis and runs a command, which finds the Redis's URL in `STACK_REDIS`:
//! `cargo run --example with_redis -- cargo test --workspace --test journey`.

use std::process::{Command, ExitCode};

use test_redis::Redis;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("with_redis: name the command to run");
        return ExitCode::from(64);
    };
    let redis = Redis::start().await;
    let ended = Command::new(&program).args(arguments).env("STACK_REDIS", redis.url()).status();
    match ended {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("with_redis: {}: {error}", program.display());
            ExitCode::FAILURE
        }
    }
}
