//! What an operator watches with: alert rules and dashboard as Prometheus itself reads them, their names against the
//! documents, and an alert that fires although every process lives.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod delivery;
mod names;
mod prometheus;
mod rules;
