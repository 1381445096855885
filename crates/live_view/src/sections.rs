//! The parts of the page that both services have.

use std::time::{Duration, SystemTime};

use login_page::Language;
use server::admin::Readiness;
use server::logging::recent;

use crate::state::{Body, Cell, Row, Section, Series, Tone};
use crate::words::{age, either};

/// Warnings and errors that are shown: the newest.
const MOST_PROBLEMS: usize = 12;

/// What is known of the process: its version, since when it runs, and whether it is ready.
#[must_use]
pub fn process(
    version: &str,
    began: SystemTime,
    ready: &Readiness,
    more: Vec<(String, Cell)>,
    language: Language,
) -> Section {
    let is_ready = match ready() {
        Ok(None) => Cell::text(either(language, "就绪", "ready")).tone(Tone::Good),
        Ok(Some(but)) => {
            Cell::text(format!("{}{but}", either(language, "就绪，但：", "ready, but "))).tone(Tone::Warn)
        }
        Err(why) => {
            Cell::text(format!("{}{why}", either(language, "未就绪：", "not ready: "))).tone(Tone::Bad)
        }
    };
    let mut facts = vec![
        (either(language, "状态", "State").to_owned(), is_ready),
        (either(language, "版本", "Version").to_owned(), Cell::text(version)),
        (either(language, "已运行", "Running for").to_owned(), Cell::since(began)),
    ];
    facts.extend(more);
    Section {
        id: "process",
        title: either(language, "进程", "Process").to_owned(),
        note: String::new(),
        wide: false,
        body: Body::Facts { facts },
    }
}

/// How often these things happened in the last minutes.
#[must_use]
pub fn rates(series: Vec<Series>, language: Language) -> Section {
    Section {
        id: "rates",
        title: either(language, "最近 10 分钟", "The last 10 minutes").to_owned(),
        note: either(
            language,
            "每分钟一根柱，最右边是当前这一分钟",
            "A bar a minute, the present one at the right",
        )
        .to_owned(),
        wide: false,
        body: Body::Rates { series },
    }
}

/// The warnings and errors of the last hour, as the log has them.
#[must_use]
pub fn problems(language: Language) -> Section {
    let lines = recent::lines();
    let more = lines.len().saturating_sub(MOST_PROBLEMS);
    let rows = lines.into_iter().take(MOST_PROBLEMS).map(|line| {
        let (level, tone) = match line.is_error {
            true => (either(language, "错误", "error"), Tone::Bad),
            false => (either(language, "警告", "warning"), Tone::Warn),
        };
        let times = if line.times > 1 { format!(" ×{}", line.times) } else { String::new() };
        Row {
            cells: vec![
                Cell::text(format!("{level}{times}")).tone(tone),
                Cell::since(line.last).tone(Tone::Quiet),
                Cell::text(line.text).tone(Tone::Prose),
            ],
        }
    });
    let columns = [("级别", "Level"), ("距今", "Ago"), ("日志", "What the log says")];
    let note = match (more, language) {
        (0, _) => String::new(),
        (_, Language::Chinese) => format!("日志里还有 {more} 种"),
        (_, Language::English) => format!("The log has {more} more"),
    };
    Section {
        id: "problems",
        title: either(language, "最近一小时的警告和错误", "Warnings and errors of the last hour").to_owned(),
        note,
        wide: true,
        body: Body::Table {
            columns: columns.map(|(zh, en)| either(language, zh, en).to_owned()).into(),
            rows: rows.collect(),
            empty: either(language, "没有警告，也没有错误。", "None.").to_owned(),
        },
    }
}

/// A length of time in words.
#[must_use]
pub fn length(time: Duration, language: Language) -> String {
    match (time.as_millis(), time.as_secs()) {
        (0..1000, _) => format!("{}{}", time.as_millis(), either(language, " 毫秒", " ms")),
        (_, 0..10) => format!("{:.1}{}", time.as_secs_f64(), either(language, " 秒", " s")),
        _ => age(time, language),
    }
}
