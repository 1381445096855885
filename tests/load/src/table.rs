//! The table of figures and ratios, for people and as JSON.

#![expect(clippy::print_stdout, reason = "this is what the program is for")]

use std::fmt::Write;
use std::fs;

use serde_json::{Value, json};

use crate::cores::Cores;
use crate::figures::{Figures, Measure, Spread, Unit};
use crate::target::Server;

/// Prints the table: medians with the least and the most, and what ours is of each other server's in the same round.
pub(crate) fn print(command: &str, rounds: u8, cores: &Cores, figures: &Figures) {
    println!("{command}: medians of {rounds} rounds (least–most); {}\n", placed(cores));
    let width = figures.measures().map(|measure| label(measure).chars().count()).max().unwrap_or(0);
    let head = ["ours", "tuned", "floor", "ours / tuned", "ours / floor"];
    println!(
        "{:width$}  {:>24}  {:>24}  {:>24}  {:>18}  {:>18}",
        "", head[0], head[1], head[2], head[3], head[4]
    );
    for measure in figures.measures() {
        let [ours, tuned, floor, to_tuned, to_floor] = row(measure, figures);
        println!(
            "{:width$}  {ours:>24}  {tuned:>24}  {floor:>24}  {to_tuned:>18}  {to_floor:>18}",
            label(measure)
        );
    }
    if figures.measures().any(|measure| measure.unit == Unit::Percent) {
        println!(
            "\nWhere the load's own core is at 90 % or more, a rate is at least what is shown: compare processor time."
        );
    }
}

/// A row: what each server takes, and what ours is of the others'.
fn row(measure: &Measure, figures: &Figures) -> [String; 5] {
    let shown = |spread: Option<Spread>, digits: &dyn Fn(Spread) -> usize| {
        spread.map_or_else(String::new, |spread| text(spread, digits(spread)))
    };
    let of = |server| shown(Spread::of(figures.of(measure, server)), &|spread| digits(measure.unit, spread));
    let to = |server| {
        let is_ratio = measure.unit != Unit::Percent;
        shown(Spread::of(&figures.ratios(measure, server)).filter(|_| is_ratio), &|_| 2)
    };
    let [ours, tuned, floor] = Server::ALL.map(of);
    [ours, tuned, floor, to(Server::Tuned), to(Server::Floor)]
}

/// The table as Markdown, for a document.
pub(crate) fn markdown(rounds: u8, cores: &Cores, figures: &Figures) -> String {
    let mut table = format!(
        "{}; Linux {}; {}; medians of {rounds} rounds (least–most).\n\n\
         | | ours | tuned | floor | ours / tuned | ours / floor |\n|---|---|---|---|---|---|\n",
        processor(),
        kernel(),
        placed(cores)
    );
    for measure in figures.measures() {
        let _ = writeln!(table, "| {} | {} |", label(measure), row(measure, figures).join(" | "));
    }
    table
}

/// Says what was lost of what had been reached, if anything was.
pub(crate) fn lost(lost: &[String]) {
    println!();
    if lost.is_empty() {
        println!("Nothing is worse by more than half than what was reached.");
    }
    for what in lost {
        println!("FAILED: worse by more than half: {what}");
    }
}

/// All figures of each round, for programs.
///
/// # Errors
/// Never: they are numbers and names.
pub(crate) fn json(command: &str, rounds: u8, cores: &Cores, figures: &Figures) -> anyhow::Result<String> {
    let rows: Vec<Value> = figures
        .measures()
        .map(|measure| {
            let mut row = json!({"id": measure.id, "name": measure.name, "unit": measure.unit});
            for server in Server::ALL {
                let of_rounds = figures.of(measure, server);
                if let Some(spread) = Spread::of(of_rounds) {
                    row[server.name()] = json!({"spread": spread, "rounds": of_rounds});
                }
            }
            for server in [Server::Tuned, Server::Floor] {
                if let Some(spread) = Spread::of(&figures.ratios(measure, server)) {
                    row[format!("ours / {}", server.name())] = json!(spread);
                }
            }
            row
        })
        .collect();
    let whole = json!({"command": command, "machine": machine(cores), "rounds": rounds, "measures": rows});
    Ok(serde_json::to_string_pretty(&whole)?)
}

/// The machine, for programs.
pub(crate) fn machine(cores: &Cores) -> Value {
    json!({"processor": processor(), "kernel": kernel(), "cores": cores.count(), "placed": placed(cores)})
}

/// How server and load share the machine.
pub(crate) fn placed(cores: &Cores) -> String {
    if cores.are_apart() {
        format!("{} cores, the server on one of its own", cores.count())
    } else {
        "ONE CORE, which server and load share: latencies and rates say little".to_owned()
    }
}

fn processor() -> String {
    let all = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = all.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or_else(String::new, |line| line.trim_start_matches([' ', '\t', ':']).to_owned())
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

fn label(Measure { name, unit, .. }: &Measure) -> String {
    match unit {
        Unit::Micros => format!("{name}, µs"),
        Unit::Millis => format!("{name}, ms"),
        Unit::Bytes => format!("{name}, bytes"),
        Unit::ASecond => format!("{name} a second"),
        Unit::Percent => format!("{name}, %"),
        Unit::Count => name.to_string(),
    }
}

/// Digits behind the point that are worth showing.
pub(crate) fn digits(unit: Unit, spread: Spread) -> usize {
    match unit {
        Unit::Bytes | Unit::ASecond | Unit::Percent => 0,
        Unit::Micros | Unit::Count => 1,
        Unit::Millis if spread.median < 10.0 => 2,
        Unit::Millis => 0,
    }
}

/// A figure with its spread, if it has one.
pub(crate) fn text(Spread { median, least, most }: Spread, digits: usize) -> String {
    let number = |number: f64| {
        let plain = format!("{number:.digits$}");
        let (whole, rest) = plain.split_once('.').map_or((plain.as_str(), ""), |(whole, rest)| (whole, rest));
        let mut grouped = String::new();
        for (at, digit) in whole.chars().enumerate() {
            if at > 0 && (whole.len() - at).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        if rest.is_empty() { grouped } else { format!("{grouped}.{rest}") }
    };
    if least == most {
        number(median)
    } else {
        format!("{} ({}–{})", number(median), number(least), number(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_with_their_spread() {
        let spread = Spread { median: 12_345.6, least: 999.9, most: 1_000_000.0 };
        assert_eq!(text(spread, 0), "12,346 (1,000–1,000,000)");
        assert_eq!(text(Spread { median: 1.234, least: 1.2, most: 1.3 }, 2), "1.23 (1.20–1.30)");
        assert_eq!(text(Spread { median: 7.0, least: 7.0, most: 7.0 }, 1), "7.0");
    }
}
