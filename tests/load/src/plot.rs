//! A picture of the figures, as SVG: for each measure a bar for each server, with its spread.

use std::fmt::Write;

use crate::figures::{Figures, Spread, Unit};
use crate::target::Server;

/// Sizes in the picture's own units.
const WIDTH: f64 = 900.0;
const LABELS: f64 = 390.0;
const BARS: f64 = WIDTH - LABELS - 110.0;
const BAR: f64 = 11.0;
const GAP: f64 = 12.0;
const HEAD: f64 = 54.0;

/// Draws all measures, each on a scale of its own.
pub(crate) fn svg(command: &str, figures: &Figures) -> String {
    let measures: Vec<_> = figures.measures().filter(|measure| measure.unit != Unit::Percent).collect();
    let with: Vec<_> = measures
        .iter()
        .map(|measure| {
            let spread = |server| Some((server, Spread::of(figures.of(measure, server))?));
            (measure, Server::ALL.into_iter().filter_map(spread).collect::<Vec<_>>())
        })
        .collect();
    let height: f64 = HEAD + with.iter().map(|(_, bars)| bars.len() as f64 * BAR + GAP).sum::<f64>();
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/><text x="10" y="20" font-size="14">cargo load {command}: medians, with the least and the most of the rounds</text>"##
    );
    for (at, server) in Server::ALL.into_iter().enumerate() {
        let x = LABELS + 90.0 * at as f64;
        let _ = write!(
            svg,
            r#"<rect x="{x}" y="31" width="10" height="10" fill="{}"/><text x="{}" y="40">{}</text>"#,
            colour(server),
            x + 14.0,
            server.name()
        );
    }
    let mut y = HEAD;
    for (measure, bars) in with {
        let most = bars.iter().map(|(_, spread)| spread.most).fold(f64::MIN_POSITIVE, f64::max);
        let scale = |figure: f64| figure / most * BARS;
        let unit = serde_json::to_value(measure.unit).ok();
        let unit = unit.as_ref().and_then(|unit| unit.as_str()).unwrap_or_default();
        let _ = write!(svg, r#"<text x="10" y="{}">{}, {unit}</text>"#, y + BAR - 2.0, measure.name);
        for (server, spread) in bars {
            let middle = y + (BAR - 2.0) / 2.0;
            let _ = write!(
                svg,
                r##"<rect x="{LABELS}" y="{y}" width="{:.1}" height="{}" fill="{}"/><path d="M{:.1} {middle}H{:.1}" stroke="#000"/><text x="{:.1}" y="{}" font-size="9">{}</text>"##,
                scale(spread.median),
                BAR - 2.0,
                colour(server),
                LABELS + scale(spread.least),
                LABELS + scale(spread.most),
                LABELS + scale(spread.most) + 5.0,
                y + BAR - 3.0,
                short(spread.median)
            );
            y += BAR;
        }
        y += GAP;
    }
    svg + "</svg>\n"
}

fn colour(server: Server) -> &'static str {
    match server {
        Server::Ours => "#07803f",
        Server::Tuned => "#7a9cc6",
        Server::Floor => "#bbb",
    }
}

fn short(figure: f64) -> String {
    if figure >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Measure;

    #[test]
    fn every_server_has_a_bar_on_the_scale() {
        let measure = Measure::named("cpu", "processor", Unit::Micros);
        let mut figures = Figures::default();
        figures.add(Server::Ours, measure.clone(), 20.0);
        figures.add(Server::Floor, measure, 10.0);
        let svg = svg("open", &figures);
        assert!(svg.contains(&format!(r##"width="{BARS:.1}" height="9" fill="#07803f""##)), "{svg}");
        assert!(svg.contains(&format!(r##"width="{:.1}" height="9" fill="#bbb""##, BARS / 2.0)), "{svg}");
        assert!(svg.ends_with("</svg>\n"));
    }
}
