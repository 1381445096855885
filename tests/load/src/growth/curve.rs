//! What one of something costs over how many there are: as text, as JSON, and as a picture.

#![expect(clippy::print_stdout, reason = "this is what the program is for")]

use std::fmt::Write;

use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json};

use super::Service;
use crate::cores::Cores;
use crate::figures::{Spread, Unit};
use crate::table;

/// A curve.
#[derive(Debug, Serialize)]
pub(super) struct Curve {
    id: &'static str,
    name: &'static str,
    unit: Unit,
    points: Vec<Point>,
}

#[derive(Debug, Serialize)]
struct Point {
    at: u32,
    found: Spread,
}

impl Curve {
    pub(super) fn of(id: &'static str, name: &'static str, unit: Unit) -> Self {
        Self { id, name, unit, points: Vec::new() }
    }

    /// Adds what was found at so many, one figure a round.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn add(&mut self, at: u32, rounds: &[f64]) -> anyhow::Result<()> {
        let found = Spread::of(rounds).context("nothing was found")?;
        self.points.push(Point { at, found });
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The last as a multiple of the first.
    fn grows(&self) -> Option<f64> {
        Some(self.points.last()?.found.median / self.points.first()?.found.median)
    }
}

/// Prints services and curves.
pub(super) fn print(rounds: u8, cores: &Cores, services: &[Service], curves: &[Curve]) {
    println!("growth: medians of {rounds} rounds (least–most); {}\n", table::placed(cores));
    for Service { name, starts_in, memory, size } in services {
        println!(
            "{name}: {:.1} MiB on disk, listens after {} ms, has {:.1} MiB of memory without work",
            *size as f64 / 1_048_576.0,
            table::text(*starts_in, 0),
            *memory as f64 / 1_048_576.0
        );
    }
    for curve in curves {
        println!("\n{}", curve.name);
        for Point { at, found } in &curve.points {
            let digits = table::digits(curve.unit, *found);
            println!(
                "{:>12}  {}",
                table::text(Spread::exactly(f64::from(*at)), 0),
                table::text(*found, digits)
            );
        }
        println!("  the last is {:.2} of the first", curve.grows().unwrap_or(f64::NAN));
    }
}

/// All of it for programs.
///
/// # Errors
/// Never: they are numbers and names.
pub(super) fn json(
    machine: &Value,
    rounds: u8,
    services: &[Service],
    curves: &[Curve],
) -> anyhow::Result<String> {
    let services: Vec<_> = services
        .iter()
        .map(|service| {
            json!({"name": service.name, "starts_in_ms": service.starts_in, "memory": service.memory, "size": service.size})
        })
        .collect();
    let whole = json!({"command": "growth", "machine": machine, "rounds": rounds, "services": services, "curves": curves});
    Ok(serde_json::to_string_pretty(&whole)?)
}

/// Sizes in the picture's own units.
const WIDTH: f64 = 760.0;
const ACROSS: f64 = 380.0;
const PLOT: (f64, f64) = (290.0, 130.0);
const MARGIN: (f64, f64) = (55.0, 34.0);
const DOWN: f64 = 205.0;

/// Draws each curve in a plot of its own, whose upper edge is twice its highest point, over a logarithm of how many there are.
pub(super) fn svg(curves: &[Curve]) -> String {
    let height = DOWN * curves.len().div_ceil(2) as f64 + 30.0;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/><text x="10" y="20" font-size="14">cargo load growth: what one costs, by how many there are</text>"##
    );
    for (number, curve) in curves.iter().enumerate() {
        let left = ACROSS * (number % 2) as f64 + MARGIN.0;
        let top = DOWN * (number / 2) as f64 + 30.0 + MARGIN.1;
        draw(&mut svg, curve, left, top);
    }
    svg + "</svg>\n"
}

fn draw(svg: &mut String, curve: &Curve, left: f64, top: f64) {
    let (width, height) = PLOT;
    let most = curve.points.iter().map(|point| point.found.most).fold(f64::MIN_POSITIVE, f64::max) * 2.0;
    let logs = || curve.points.iter().map(|point| f64::from(point.at).ln());
    let (from, to) = (logs().fold(f64::MAX, f64::min), logs().fold(0.0, f64::max));
    let x = |at: u32| left + (f64::from(at).ln() - from) / (to - from).max(f64::MIN_POSITIVE) * width;
    let y = |figure: f64| top + height - figure / most * height;
    let unit = serde_json::to_value(curve.unit).ok();
    let unit = unit.as_ref().and_then(Value::as_str).unwrap_or_default();
    let _ = write!(
        svg,
        r##"<text x="{left}" y="{}">{}, {unit}</text><path d="M{left} {top}V{}H{}" fill="none" stroke="#999"/>"##,
        top - 8.0,
        curve.name,
        top + height,
        left + width
    );
    let mut line = String::new();
    for (number, Point { at, found }) in curve.points.iter().enumerate() {
        let (x, middle) = (x(*at), y(found.median));
        let _ = write!(line, "{}{x:.1} {middle:.1}", if number == 0 { "M" } else { "L" });
        let digits = table::digits(curve.unit, *found);
        let _ = write!(
            svg,
            r##"<circle cx="{x:.1}" cy="{middle:.1}" r="3" fill="#07803f"/><path d="M{x:.1} {:.1}V{:.1}" stroke="#07803f"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" font-size="9">{}</text><text x="{x:.1}" y="{:.1}" text-anchor="middle" font-size="9">{}</text>"##,
            y(found.least),
            y(found.most),
            y(found.most) - 6.0,
            table::text(Spread::exactly(found.median), digits),
            top + height + 13.0,
            table::text(Spread::exactly(f64::from(*at)), 0)
        );
    }
    let _ = write!(svg, r##"<path d="{line}" fill="none" stroke="#07803f"/>"##);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_flat_curve_is_drawn_flat_and_said_to_be() {
        let mut curve = Curve::of("pages.cpu", "processor", Unit::Micros);
        for at in [1000, 5000, 15_000] {
            curve.add(at, &[30.0, 20.0, 40.0]).unwrap();
        }
        assert_eq!(curve.grows(), Some(1.0));
        let svg = svg(&[curve]);
        let line = svg.rsplit_once(r#"<path d="M"#).unwrap().1;
        let heights: Vec<_> =
            line.split_once('"').unwrap().0.split('L').map(|at| at.split(' ').nth(1).unwrap()).collect();
        assert!(heights.len() == 3 && heights.iter().all(|height| *height == heights[0]), "{heights:?}");
        assert!(svg.contains(">15,000<"), "{svg}");
    }
}
