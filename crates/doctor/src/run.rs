//! A doctor's run: the looks, again while `--wait` lasts, and the output with its exit code.

use std::io::{IsTerminal as _, stdout};
use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use server::settings::NoSettings;
use tokio::time::{Instant, sleep};

use crate::category::{Category, worst};
use crate::check::{Check, Outcome};
use crate::options::Options;
use crate::reading::Given;
use crate::words::Words;
use crate::{json, report, text};

/// How long `--wait` waits between two looks at what failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The program whose doctor it is.
#[derive(Debug)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Which settings are set, for the report.
    pub given: Vec<Given>,
    /// The names of its secrets, for the report.
    pub secrets: Vec<&'static str>,
    /// What the report must not show, beside what [`crate::mask`] finds by its form: names of sites, folders.
    pub private: Vec<String>,
}

/// What was found in one category.
#[derive(Debug, Clone)]
pub struct Found {
    /// The category's name.
    pub name: &'static str,
    /// Its title.
    pub title: Words,
    /// Its checks, in order.
    pub checks: Vec<Check>,
}

/// Makes the looks that were asked for and prints what they found. The exit code is 0 without failures, 1 with some, and 64
/// when `--only` names what there is not.
#[expect(clippy::print_stdout, reason = "this is what a doctor is for")]
pub async fn run(program: &Program, options: &Options, categories: Vec<Category>) -> ExitCode {
    let categories = match options.chosen(categories) {
        Ok(chosen) => chosen,
        Err(wrong) => return NoSettings::from(wrong).report(program.name),
    };
    let found = examine(&categories, options.wait.unwrap_or_default()).await;
    let language = options.language();
    let shown = if options.json {
        json::of(&found, language)
    } else if options.report {
        report::of(program, &found, language)
    } else {
        text::of(&found, language, stdout().is_terminal())
    };
    print!("{shown}");
    if outcome(&found) == Outcome::Failure { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The worst that was found.
pub(crate) fn outcome(found: &[Found]) -> Outcome {
    found.iter().map(|category| worst(&category.checks)).max().unwrap_or(Outcome::Ok)
}

/// Makes all looks at once, and those that failed and may change again until `wait` is over.
pub async fn examine(categories: &[Category], wait: Duration) -> Vec<Found> {
    // A time that no clock can show is one without an end.
    let until = Instant::now().checked_add(wait);
    let mut found: Vec<Vec<Vec<Check>>> = join_all(
        categories.iter().map(|category| join_all((0..category.looks()).map(|look| category.make(look)))),
    )
    .await;
    loop {
        let failed: Vec<(usize, usize)> = (0..found.len())
            .flat_map(|category| (0..found[category].len()).map(move |look| (category, look)))
            .filter(|(category, look)| worst(&found[*category][*look]) == Outcome::Failure)
            .filter(|(category, look)| categories[*category].may_change(*look))
            .collect();
        if failed.is_empty() || until.is_some_and(|until| Instant::now() + PAUSE > until) {
            break;
        }
        sleep(PAUSE).await;
        let again = failed.iter().map(|(category, look)| categories[*category].make(*look));
        for ((category, look), checks) in failed.iter().zip(join_all(again).await) {
            found[*category][*look] = checks;
        }
    }
    let of_one = |(category, checks): (&Category, Vec<Vec<Check>>)| Found {
        name: category.name(),
        title: category.title().clone(),
        checks: checks.into_iter().flatten().collect(),
    };
    categories.iter().zip(found).map(of_one).filter(|found| !found.checks.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::words::Language;

    fn words(text: &str) -> Words {
        Words::same(text)
    }

    fn told(found: &[Found]) -> Vec<String> {
        let told = |check: &Check| format!("{} {}", check.outcome, check.description.get(Language::En));
        found.iter().flat_map(|category| category.checks.iter().map(told)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn looks_are_made_at_once_within_their_limits_and_told_in_order() {
        let mut category = Category::new("net", words("net"));
        for (name, takes) in [("slow", 3), ("quick", 0), ("never", 1_000_000)] {
            category.look(words(name), Duration::from_secs(4), move |sheet| async move {
                sheet.ok(words(&format!("{name} begins")));
                sleep(Duration::from_secs(takes)).await;
                sheet.ok(words(&format!("{name} ends")));
            });
        }
        let begun = Instant::now();
        let found = examine(&[category], Duration::ZERO).await;
        assert_eq!(
            told(&found),
            ["√ slow begins", "√ slow ends", "√ quick begins", "√ quick ends", "√ never begins", "× never"]
        );
        assert_eq!(begun.elapsed(), Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_looks_again_at_failures_alone_and_no_longer_than_it_was_told() {
        let (healed, well) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let make = |heals_at: u32| {
            let (healed, well) = (Arc::clone(&healed), Arc::clone(&well));
            let mut category = Category::new("net", words("net"));
            category.look(words("well"), Duration::from_secs(1), move |sheet| {
                well.fetch_add(1, Ordering::Relaxed);
                sheet.warning(words("well"), words("f"), words("h"));
                async {}
            });
            category.look(words("heals"), Duration::from_secs(1), move |sheet| {
                match healed.fetch_add(1, Ordering::Relaxed) >= heals_at {
                    true => sheet.ok(words("heals")),
                    false => sheet.failure(words("heals"), words("f"), words("h")),
                }
                async {}
            });
            [category]
        };
        let begun = Instant::now();
        assert_eq!(told(&examine(&make(3), Duration::from_secs(60)).await), ["‼ well", "√ heals"]);
        assert_eq!((begun.elapsed(), well.load(Ordering::Relaxed)), (Duration::from_secs(3), 1));
        healed.store(0, Ordering::Relaxed);
        let begun = Instant::now();
        assert_eq!(told(&examine(&make(1000), Duration::from_secs(5)).await)[1], "× heals");
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        // However long it waits, it ends when all is well; and what was found before is not waited for.
        healed.store(0, Ordering::Relaxed);
        assert_eq!(told(&examine(&make(3), Duration::MAX).await)[1], "√ heals");
        let sheet = crate::check::Sheet::default();
        sheet.failure(words("settings"), words("f"), words("h"));
        let mut category = Category::new("settings", words("settings"));
        category.found(&sheet);
        let begun = Instant::now();
        assert_eq!(told(&examine(&[category], Duration::MAX).await), ["× settings"]);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        // A look that never ends does not hold the others up for longer than its limit.
        let mut category = Category::new("net", words("net"));
        category.look(words("never"), Duration::from_secs(1), |_| pending());
        assert_eq!(told(&examine(&[category], Duration::ZERO).await), ["× never"]);
    }
}
