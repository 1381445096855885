//! The program `ws-gateway`.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// About a tenth less processor time than with the C library's, and no more memory: docs/performance.md.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    ws_gateway::commands::run(std::env::args_os())
}
