//! The shared code of the end-to-end tests: a page that speaks the browser's protocol, a page that reconnects
//! as the gateway's own page does, a network with faults, a history and its check, a camera that reads QR codes
//! from pictures, sites with their back ends, the entries of an audit, the real programs as processes, and a real browser. The crate `demo` has the system in one
//! process, and `test-redis` has Redis.

#![allow(clippy::unwrap_used, reason = "a test's harness fails loudly")]

pub mod browser;
pub mod crowd;
pub mod fleet;
pub mod history;
pub mod journal;
pub mod page;
pub mod picture;
pub mod previous;
pub mod programs;
pub mod proxy;
pub mod raw;
pub mod roaming;
pub mod sites;
