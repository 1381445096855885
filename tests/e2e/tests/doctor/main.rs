//! `doctor` of both services against everything that goes wrong: it names the fault and the cure.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod callback;
mod gateway;
mod seen;
