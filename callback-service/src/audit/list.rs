//! `callback-service logins`: shows entries to an operator, or exports them. It works beside the running service, and reads
//! page by page, so that it needs no more memory for millions of entries than for a few.

use std::io::{self, Write};
use std::time::SystemTime;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use records::{Line, Range};

use super::entry::{Entry, Outcome, Personal};
use super::filter::{Filter, When, Zone};
use super::{Audit, export, filter, text};
use crate::account::names::Directory;

/// An entry that was read.
pub(super) type Read = Line<Entry, Personal>;

/// Entries of one page.
const PAGE: u32 = 500;

/// Entries that a person is shown, unless they say how many.
const SHOWN: u64 = 100;

/// How entries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people.
    Text,
    /// Comma-separated values (RFC 4180), for spreadsheets.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

/// What an operator wants to see.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Wanted {
    /// Entries since then: a time back (24h, 7days), a date, or a time.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Entries before then. A date is its beginning.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// Of this site: its id, or its name at wechat-server's protocol.
    #[arg(long)]
    site: Option<String>,
    /// Of the person with this openid.
    #[arg(long, value_name = "OPENID", value_parser = server::visible::identifier)]
    person: Option<String>,
    /// With one of these outcomes, such as granted,not_me.
    #[arg(long, value_delimiter = ',')]
    outcome: Vec<Outcome>,
    /// Of the login with this id, or these first digits of it.
    #[arg(long, value_name = "ID", value_parser = filter::login)]
    login: Option<String>,
    /// The most entries, of which the newest are shown. Unset: 100 in a table, and all in an export.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// How they are written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The zone of times and dates.
    #[arg(long, default_value = "+08:00", allow_hyphen_values = true)]
    zone: Zone,
    /// Show whole openids in the table. An export has them in any case.
    #[arg(long)]
    full: bool,
}

impl Wanted {
    /// What is wrong with the filters together, if anything is.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let now = SystemTime::now();
        let [since, until] =
            [self.since, self.until].map(|when| when.map(|when| when.moment(self.zone, now)));
        match (since, until) {
            (Some(since), Some(until)) if since >= until => Some("--until: is not later than --since"),
            _ => None,
        }
    }
}

/// What was written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Entries that were written.
    pub written: u64,
    /// Entries that were left out because a newer version has written them.
    pub unreadable: u64,
    /// There are more than the limit lets through.
    pub has_more: bool,
}

/// Writes what is wanted, the newest first. A reader who has gone, such as `head`, is no error.
///
/// # Errors
/// When the store does not answer, or nothing can be written.
pub(crate) async fn list(
    audit: &Audit,
    directory: &Directory,
    wanted: Wanted,
    to: impl Write,
) -> anyhow::Result<Listed> {
    match write(audit, directory, wanted, to).await {
        Err(error)
            if error
                .downcast_ref()
                .is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(Listed::default())
        }
        done => done,
    }
}

async fn write(
    audit: &Audit,
    directory: &Directory,
    wanted: Wanted,
    mut to: impl Write,
) -> anyhow::Result<Listed> {
    let Wanted { since, until, site, person, outcome: outcomes, login, limit, format, zone, full } = wanted;
    let now = SystemTime::now();
    let moment = |when: Option<When>| when.map(|when| when.moment(zone, now));
    let range = Range {
        since: moment(since),
        until: moment(until),
        // WeChat gives an openid to one account only, so whoever has it is meant, whichever account that is.
        about: person.map(|openid| {
            let person = wechat::Person::new(openid);
            directory.all().iter().map(|account| account.person(&person).key().into_owned()).collect()
        }),
    };
    let filter = Filter { site, outcomes, login };
    let limit = limit.unwrap_or(if format == Format::Text { SHOWN } else { u64::MAX });
    match format {
        Format::Text => to.write_all(text::head().as_bytes())?,
        Format::Csv => to.write_all(export::csv_head().as_bytes())?,
        Format::Jsonl => {}
    }
    let (mut listed, mut before) = (Listed::default(), None);
    loop {
        let page = audit.journal.page(&range, before, PAGE).await.context("CALLBACK_STORE")?;
        listed.unreadable += page.unreadable;
        for read in page.lines.into_iter().filter(|read| filter.lets_in(&read.entry)) {
            if listed.written >= limit {
                listed.has_more = true;
                to.flush()?;
                return Ok(listed);
            }
            let line = match format {
                Format::Text => text::line(&read, zone, full),
                Format::Csv => export::csv(&read, zone),
                Format::Jsonl => export::json(&read, zone),
            };
            to.write_all(line.as_bytes())?;
            listed.written += 1;
        }
        match page.next {
            None => break,
            next => before = next,
        }
    }
    to.flush()?;
    Ok(listed)
}
