//! Both doors under attack, as real programs over real sockets: peers that are slow, deaf or too many, and a
//! system that gives no more open files, or a file that another process holds. What is attacked holds within its limits, and the rest goes on.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod crowded;
mod deaf;
mod files;
mod hang_up;
mod live_view;
mod nginx;
mod pings;
mod process;
mod slow;
mod starts;
mod system;
