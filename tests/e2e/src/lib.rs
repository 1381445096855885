//! What the end-to-end tests share: a page that speaks the browser's wire, a camera that reads QR codes
//! from pictures, the real programs as processes, and a real browser. The system in one process comes
//! from the crate `demo`.

#![allow(clippy::unwrap_used, reason = "a test's harness fails loudly")]

pub mod browser;
pub mod page;
pub mod picture;
pub mod programs;
pub mod raw;
