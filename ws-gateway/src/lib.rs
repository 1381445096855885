//! The gateway: holds the browsers' WebSockets, shows each a QR code, and takes notices from back ends.
//!
//! Two journeys meet here. A browser comes to [`browsers`] (may this page connect?). Its task takes a code of
//! the [`account`], mostly from [`codes`], records a login in [`logins`], and tells the page. A notice comes to [`notices`] (who sends it, and may
//! they?), is recorded in [`logins`], and wakes the page through its seat.
//!
//! [`config`] reads the settings, which each room has of its own. [`gateway`] is what all connections share. [`server`]
//! binds the ports and runs until the drain is over. [`live`] is what an operator sees of all that.

pub mod commands;
pub mod config;

mod account;
mod browsers;
mod codes;
mod doctor;
mod gateway;
mod live;
mod logins;
mod metrics;
mod notices;
mod server;
mod stores;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod trace;

pub(crate) use self::gateway::Gateway;
pub use self::server::{BoundAddresses, Server};
