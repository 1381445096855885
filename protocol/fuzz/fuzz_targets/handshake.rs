#![no_main]

use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};

/// Its time passes as soon as everybody waits for it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("the runtime needs nothing of the system")
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    properties::handshake(&RUNTIME, input);
});
