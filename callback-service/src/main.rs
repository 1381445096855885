//! The program `callback-service`.

use std::process::ExitCode;

fn main() -> ExitCode {
    callback_service::commands::run(std::env::args_os())
}
