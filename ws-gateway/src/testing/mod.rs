//! The gateway as tests want it: without ports (`in_memory`, [`fuzz`]), or without logins ([`echo`]).

pub mod bench;
pub mod echo;
pub mod fuzz;
#[cfg(test)]
pub(crate) mod in_memory;
