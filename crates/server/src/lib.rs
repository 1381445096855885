//! What turns a library into a deployable process, the same for every program of Saoma.
//!
//! In the order in which a process lives: the [`command_line`] says what to do. [`settings`] are read and checked, also
//! for what nobody sees ([`visible`]), and so are the files that they name ([`mod@file`]). [`process`] is what a program's `main` does next: [`logging`] starts, which
//! never delays anybody, [`told`] keeps strangers from filling it, and [`traces`] go to a collector. A [`service`] runs from its bound ports to the
//! end of its drain. [`listen`] accepts, as many connections as [`descriptors`] allow ([`places`], [`shares`]).
//! [`pace`] and [`allowance`] say how often something may happen. [`http`] serves a connection within limits, two of
//! which are [`read_deadline`] and [`write_deadline`]; [`streamed`] is an answer that goes on, and [`mod@address`] says who
//! is behind a proxy. [`admin`] answers the operator, with [`metrics`] among other things. [`stop`] hears the signal and bounds the drain. [`health`] asks such a process from outside, and [`clock`]
//! has times for messages. Nothing here knows about logins, WeChat or the internal wire.

pub mod address;
pub mod admin;
pub mod allowance;
mod bodies;
pub mod clock;
pub mod command_line;
pub mod descriptors;
pub mod file;
pub mod health;
pub mod http;
pub mod listen;
pub mod logging;
pub mod metrics;
pub mod pace;
pub mod places;
pub mod process;
pub mod read_deadline;
pub mod service;
pub mod settings;
pub mod shares;
pub mod stop;
pub mod streamed;
pub mod told;
pub mod traces;
pub mod visible;
pub mod write_deadline;
