//! What the commands print.

#![expect(clippy::print_stdout, reason = "this is what the program is for")]

use std::collections::BTreeMap;
use std::time::Duration;

use crate::oidc::{self, Cost, Kind, median};
use crate::pages::Found;
use crate::site_login::{STEPS, Took};
use crate::system::Samples;
use crate::tally::{Counts, Part};
use crate::verdict::Verdict;

/// The most different warnings of the programs that are shown.
const WARNINGS_SHOWN: usize = 10;

/// Prints what `soak` will do, and the head of its table.
pub(crate) fn soak_begins(
    workers: u16,
    rate: Option<u32>,
    login_ttl: Duration,
    warm_up: Duration,
    judged: Duration,
) {
    let pace =
        rate.map_or("as fast as they can".to_owned(), |rate| format!("{rate} visits a second at most"));
    println!(
        "soak: {workers} workers, {pace}; codes are shown for {login_ttl:?}; warm-up {warm_up:?}, then {judged:?} \
         that are judged\n"
    );
    println!("                            scan to page     ws-gateway           callback-service     WeChat");
    println!(
        "  time           visits/s   p50 ms  p99 ms     MiB files threads    MiB files threads      MiB"
    );
}

/// A row of the table of `soak`.
pub(crate) fn row(at: Duration, is_warm_up: bool, since: Duration, part: &Part, samples: &Samples) {
    let Samples { gateway, callback, wechat } = samples;
    println!(
        "{:>5} s {:8} {:>8.0} {:>8.1} {:>7.1} {:>7.1} {:>5} {:>7} {:>6.1} {:>5} {:>7} {:>8.1}",
        at.as_secs(),
        if is_warm_up { "warm-up" } else { "" },
        a_second(part.visits, since),
        millis(part.within(0.5)),
        millis(part.within(0.99)),
        mib(gateway.resident),
        gateway.files,
        gateway.threads,
        mib(callback.resident),
        callback.files,
        callback.threads,
        mib(wechat.resident),
    );
}

/// Prints the results of the visits of a soak.
pub(crate) fn soak_ends(whole: &Part, judged: Duration, counts: &Counts, warnings: &BTreeMap<String, u64>) {
    println!(
        "\nWhile it was judged: {:.0} visits and {:.0} logins a second; scan to page {:.1} ms (p50), {:.1} ms (p99)",
        a_second(whole.visits, judged),
        a_second(whole.logins(), judged),
        millis(whole.within(0.5)),
        millis(whole.within(0.99)),
    );
    let Counts { logged_in, left, expired, refused, faults, words } = counts;
    println!(
        "In all: {logged_in} logged in, {left} left before, {expired} expired, {refused} were told to come back, \
         {faults} went wrong"
    );
    for (words, times) in words {
        println!("  wrong, {times} times: {words}");
    }
    for (warning, times) in warnings.iter().take(WARNINGS_SHOWN) {
        println!("  warned, {times} times: {warning}");
    }
}

/// Prints the verdicts on the services' memory.
pub(crate) fn verdicts(verdicts: &[(&str, Verdict)], visits: u64) {
    println!("\nMiB of memory     first fifth  last fifth  may add     peak  slope KiB/min");
    for (name, verdict) in verdicts {
        println!(
            "{name:17} {:>11.1} {:>11.1} {:>8.1} {:>8.1} {:>14.1}  {}",
            mib(verdict.first),
            mib(verdict.last),
            mib(verdict.allowed()),
            mib(verdict.peak),
            verdict.slope / 1024.0,
            if verdict.is_flat() { "flat" } else { "GREW" },
        );
    }
    // Four fifths of the visits lie between the middles of the first and the last fifth.
    for (name, verdict) in verdicts {
        let leak = verdict.allowed() / (visits * 4 / 5).max(1) + 1;
        println!("{name}: a leak of {leak} bytes a visit would have shown");
    }
}

/// Prints the visits a second in the first and in the last fifth. The size of a store depends on the recent
/// load.
pub(crate) fn steadiness(first: f64, last: f64) {
    println!("Visits a second: {first:.0} in the first fifth, {last:.0} in the last");
    if !(0.9..=1.1).contains(&(last / first)) {
        println!(
            "The load did not hold, so the verdict says less; choose a --rate that this machine can keep."
        );
    }
}

/// Prints the open files before and after the load.
pub(crate) fn files(before: &Samples, after: &Samples) {
    println!(
        "Open files before the load and when it is over: ws-gateway {} and {}, callback-service {} and {}",
        before.gateway.files, after.gateway.files, before.callback.files, after.callback.files,
    );
}

/// Prints the findings of `pages`.
pub(crate) fn pages(found: &Found) {
    let Found { pages, opened_in, before, during, scrape: (scrape, bytes), after } = found;
    println!(
        "{pages} idle pages, opened in {:.1} s ({:.0} a second), each with its QR code and its login",
        opened_in.as_secs_f64(),
        a_second(*pages, *opened_in)
    );
    println!("ws-gateway          MiB  open files");
    for (when, sample) in [("before", before), ("with the pages", during), ("after they left", after)] {
        println!("{when:15} {:>7.1} {:>11}", mib(sample.resident), sample.files);
    }
    let each = during.resident.saturating_sub(before.resident) / pages;
    println!("a page with its login: {each} bytes");
    println!(
        "a scrape of its metrics with the pages: {:.2} ms of processor, {bytes} bytes; each 15 s that is {:.3} % of one core",
        millis(*scrape),
        scrape.as_secs_f64() / 15.0 * 100.0
    );
}

/// Prints what `oidc` will do.
pub(crate) fn oidc_begins(rounds: u8, logins: u32, workers: u16) {
    println!(
        "oidc: {rounds} rounds of {logins} logins of each kind: plain without sites, plain with them, at a site one after \
         another, {workers} at once, and confirmed\n"
    );
}

/// Prints the findings of `oidc`.
pub(crate) fn oidc(found: &oidc::Found, workers: u16) {
    println!("ms, medians of all logins  one after another  {workers} at once");
    let row = |name: &str, of: &dyn Fn(&[Took]) -> Duration| {
        let [alone, together] = [&found.steps_alone, &found.steps_together].map(|steps| millis(of(steps)));
        println!("{name:26} {alone:>17.2} {together:>10.2}");
    };
    for (step, name) in STEPS.iter().enumerate() {
        row(name, &|steps| oidc::Found::step(steps, step));
    }
    row("the whole login", &oidc::Found::whole);
    println!("\nprocessor time a login, us: median of the rounds (least, most)");
    println!("                                           ws-gateway        callback-service");
    for kind in Kind::ALL {
        let name = match kind {
            Kind::Plain => "plain, without CALLBACK_SITES",
            Kind::PlainBeside => "plain, with CALLBACK_SITES",
            Kind::Alone => "at a site, one after another",
            Kind::Together => "at a site, several at once",
            Kind::Confirmed => "at a site, confirmed, in turn",
        };
        let range = |of: fn(&Cost) -> Duration| {
            let costs = || found.costs.iter().map(|costs| of(&costs[kind as usize]));
            let least = costs().min().unwrap_or_default().as_micros();
            let most = costs().max().unwrap_or_default().as_micros();
            format!("{} ({least}, {most})", median(costs()).as_micros())
        };
        println!("{name:30} {:>22} {:>23}", range(|cost| cost.gateway), range(|cost| cost.callback));
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody reads that many digits")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "nobody reads that many digits")]
fn a_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(0.001)
}
