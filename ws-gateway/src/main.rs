//! The program `ws-gateway`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ws_gateway::commands::run(std::env::args_os())
}
