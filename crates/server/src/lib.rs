//! What turns a library into a deployable process, the same for every program of Saoma.
//!
//! In the order in which a process lives: [`settings`] are read and checked, also for what nobody sees ([`visible`]), [`logging`] starts and never holds anybody up,
//! [`told`] keeps strangers from filling it, [`listen`] binds the ports and accepts, as many as [`descriptors`] allow ([`places`], [`shares`]), [`http`] serves a connection
//! for whoever is behind a proxy ([`address`]) within limits ([`read_deadline`] and [`write_deadline`] are two of them), [`admin`] answers the operator, and [`stop`] hears the
//! signal and bounds the drain. [`process`] is all of it in a program's `main`; [`health`] asks such a process from outside. Nothing here knows about
//! logins, WeChat or the internal wire.

pub mod address;
pub mod admin;
pub mod clock;
pub mod descriptors;
pub mod health;
pub mod http;
pub mod listen;
pub mod logging;
pub mod places;
pub mod process;
pub mod read_deadline;
pub mod settings;
pub mod shares;
pub mod stop;
pub mod told;
pub mod visible;
pub mod write_deadline;
