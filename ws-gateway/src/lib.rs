//! The gateway: holds the browsers' WebSockets, shows each a QR code, and takes notices from back ends.
//!
//! Two journeys cross here, one room each. A browser: [`browsers`] (may this page connect?) → its task, which
//! asks for a place and a code in [`codes`], records a login in [`logins`], and tells the page. A notice:
//! [`notices`] (who are you, and what may you?) → [`logins`] (record first), which wakes the page by its seat.
//! [`gateway`] is what all connections share, [`server`] binds the ports and runs until the drain is over.

pub mod commands;
pub mod config;

mod browsers;
mod codes;
mod gateway;
mod logins;
mod metrics;
mod notices;
mod pace;
mod server;
mod stores;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub(crate) use self::gateway::Gateway;
pub use self::server::{BoundAddresses, Server};
