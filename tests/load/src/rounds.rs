//! Rounds: each server in its turn, again and again, so that what else the machine does meets all of them. What is found is
//! printed, and kept for programs and for people if they ask.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;

use crate::cores::Cores;
use crate::figures::Figures;
use crate::{plot, table};

/// What may be chosen of every measurement.
#[derive(Debug, Clone, Args)]
// Its name would be that of the options that it is among.
#[group(skip)]
pub(crate) struct Options {
    /// Rounds, of which the medians are shown. Differences below 15 % need seven or more.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub(crate) rounds: u8,

    #[command(flatten)]
    pub(crate) files: Files,
}

/// Where else figures go.
#[derive(Debug, Clone, Args)]
pub(crate) struct Files {
    /// Also writes all figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Also writes the table to this file, as Markdown.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    /// Also draws the figures into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

impl Options {
    /// Prints what was found, and writes what was asked for.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn report(&self, command: &str, cores: &Cores, figures: &Figures) -> anyhow::Result<()> {
        table::print(command, self.rounds, cores, figures);
        let write = |file: &Option<PathBuf>, text: String| match file {
            Some(file) => {
                std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
            }
            None => Ok(()),
        };
        write(&self.files.json, table::json(command, self.rounds, cores, figures)?)?;
        write(&self.files.markdown, table::markdown(self.rounds, cores, figures))?;
        write(&self.files.plot, plot::svg(command, figures))
    }
}

/// Says how far a run has come, to whoever waits for it.
pub(crate) struct Progress {
    began: Instant,
}

impl Progress {
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now() }
    }

    #[expect(clippy::print_stderr, reason = "this is for whoever waits")]
    pub(crate) fn say(&self, what: &str) {
        eprintln!("{:>5} s  {what}", self.began.elapsed().as_secs());
    }
}
