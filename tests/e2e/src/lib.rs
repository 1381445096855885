//! What the end-to-end tests share: a page that speaks the browser's wire and one that roams as the gateway's
//! own does, a network with faults, a history and its judge, a camera that reads QR codes from pictures, the
//! real programs as processes, and a real browser. The system in one process comes from the crate `demo`,
//! Redis from `test-redis`.

#![allow(clippy::unwrap_used, reason = "a test's harness fails loudly")]

pub mod browser;
pub mod crowd;
pub mod fleet;
pub mod history;
pub mod page;
pub mod picture;
pub mod previous;
pub mod programs;
pub mod proxy;
pub mod raw;
pub mod roaming;
