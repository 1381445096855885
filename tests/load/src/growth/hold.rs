//! A process of its own that opens pages and holds them: one has no more open files than this machine gives to each. It is this
//! same program with the hidden command `hold`, says when its pages are open, and ends when its input does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::ensure;
use clap::Args;

use super::AT_ONCE;
use crate::crowd::Crowd;

/// What it says when all are open.
const OPEN: &str = "open";

/// The order to it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Order {
    gateway: SocketAddr,
    pages: u32,
}

/// A running one. Dropping it ends it, and its pages with it.
pub(super) struct Holder(Child);

impl Holder {
    /// Has so many pages opened, and waits until they are.
    ///
    /// # Errors
    /// When not all of them open.
    pub(super) fn open(gateway: SocketAddr, pages: u32) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["hold", &gateway.to_string(), &pages.to_string()]);
        let mut holder = Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        let mut said = String::new();
        if let Some(output) = holder.0.stdout.take() {
            BufReader::new(output).read_line(&mut said)?;
        }
        ensure!(said.trim_end() == OPEN, "not all of {pages} pages opened");
        Ok(holder)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Opens the pages and holds them until the input ends.
///
/// # Errors
/// When not all of them open.
pub(crate) fn hold(order: &Order) -> anyhow::Result<()> {
    let _ = server::descriptors::raise();
    let mut crowd = Crowd::new(&[order.gateway])?;
    crowd.open(usize::try_from(order.pages)?, AT_ONCE)?;
    let mut output = std::io::stdout();
    writeln!(output, "{OPEN}")?;
    output.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
