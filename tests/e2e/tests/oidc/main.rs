//! callback-service as an OpenID Connect provider, before a relying party and a browser that are small enough to see
//! through. The tests with the names of modules are the OpenID Foundation's conformance suite for the plans that the
//! provider is made for: what its modules check, in our own words. The rest is what strangers try, and two processes.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod accounts;
mod agent;
mod audit;
mod backchannel;
mod bad_input;
mod basic;
mod canary;
mod collector;
mod config;
mod confirmation;
mod followed;
mod instances;
mod logout;
mod parameters;
mod provider;
mod real_browser;
mod relying_party;
mod scopes;
mod sessions;
mod two_instances;
