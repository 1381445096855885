//! The callback service: takes WeChat's pushes, decides, tells the gateway, and answers the phone.
//!
//! A scan's journey is a straight line through the rooms: [`routes`] (which door?) → [`pushes`] (is it believed, and what
//! does it ask for?) → [`logins`] (claim, end, count, and the words), which remembers in [`store`]. The format of pushes
//! is [`wechat::push`]. A login for a site goes through [`provider`], which tells sites who it was: at once to whoever redeems
//! a code, later by [`outbox`]. Whoever opens a login inside WeChat comes through [`web`]. Sites that know no such thing ask
//! by wechat-server's protocol ([`wechat_server`]). What logins come to is kept by [`audit`]. What is not ours goes on to the back
//! end that had the pushes before ([`relay`]).
//! Whether logins reach their pages is seen by [`probe`]. [`callback`] is what all requests share, and [`live`] what an operator sees. [`server`] binds the ports and runs until the drain is
//! over. [`config`] reads the settings, of which each room has its own; [`account`] and [`storage`] are the settings of
//! the official accounts and of the store. [`mod@doctor`] looks for faults in all of it.

pub mod commands;
pub mod config;

pub mod account;
mod audit;
mod callback;
mod doctor;
mod live;
mod logins;
mod metrics;
mod outbox;
mod probe;
mod provider;
mod pushes;
mod relay;
mod routes;
mod server;
pub mod storage;
mod store;
mod trace;
mod web;
mod wechat_server;

pub use self::server::{BoundAddresses, Server};
