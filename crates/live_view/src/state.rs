//! What the page shows, as values: the server writes them as HTML, and the events as JSON for the script.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use server::visible::plain;

/// Everything that the page shows, in one language.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct State {
    /// The parts, in their order.
    pub sections: Vec<Section>,
}

/// A part with a title.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// Its name in the page, in small letters.
    pub id: &'static str,
    /// Its title.
    pub title: String,
    /// A few words below it; may be empty.
    pub note: String,
    /// It needs the whole width of a desk.
    pub wide: bool,
    /// What it shows.
    pub body: Body,
}

/// What a part shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Body {
    /// Names and what they are.
    Facts {
        /// Each with its name.
        facts: Vec<(String, Cell)>,
    },
    /// Rows of cells.
    Table {
        /// The names of the columns; one may be empty.
        columns: Vec<String>,
        /// The rows.
        rows: Vec<Row>,
        /// What is said where there is none.
        empty: String,
    },
    /// How often things happened, by the minute.
    Rates {
        /// What happened, each with its counts.
        series: Vec<Series>,
    },
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// One for each column.
    pub cells: Vec<Cell>,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// How it looks.
    pub tone: Tone,
    /// How often it happened in each minute, the present one last.
    pub minutes: Vec<u64>,
}

impl Series {
    /// How often it happened in all these minutes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.minutes.iter().sum()
    }
}

/// One thing that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// What is said; of an age nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// In seconds since 1970: the page says how long ago that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// How it looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tone: Option<Tone>,
    /// The id of a login that can be ended here, by whoever may act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

/// How something looks. What it means is always said in words, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// As it should be.
    Good,
    /// An operator may have to do something.
    Warn,
    /// Something does not work.
    Bad,
    /// Not so important.
    Quiet,
    /// An id or an address.
    Code,
    /// A sentence, which may be long.
    Prose,
}

impl Tone {
    /// Its name in HTML.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Quiet => "quiet",
            Self::Code => "code",
            Self::Prose => "prose",
        }
    }
}

impl Cell {
    /// A text. Whoever wrote it, in it nothing hides and nothing turns what stands beside it.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: plain(text.into()), ..Self::default() }
    }

    /// How long ago this was.
    #[must_use]
    pub fn since(moment: SystemTime) -> Self {
        Self { since: Some(unix(moment)), ..Self::default() }
    }

    /// The same of something that is about this old, to ten seconds. It is the same cell a second later, as a rule.
    #[must_use]
    pub fn aged(age: Duration) -> Self {
        let moment = unix(SystemTime::now().checked_sub(age).unwrap_or(UNIX_EPOCH));
        Self { since: Some(moment / 10 * 10), ..Self::default() }
    }

    /// A button that ends the login with this id.
    #[must_use]
    pub fn end(login: impl Into<String>) -> Self {
        Self { end: Some(login.into()), ..Self::default() }
    }

    /// The same, so that it looks like this.
    #[must_use]
    pub fn tone(self, tone: Tone) -> Self {
        Self { tone: Some(tone), ..self }
    }

    /// The name of its tone; empty without one.
    pub(crate) fn tone_name(&self) -> &'static str {
        self.tone.map_or("", Tone::name)
    }
}

impl State {
    /// The state for somebody who may not end logins.
    #[must_use]
    pub(crate) fn without_acts(mut self) -> Self {
        for section in &mut self.sections {
            if let Body::Table { rows, columns, .. } = &mut section.body {
                let has_acts = rows.iter().flat_map(|row| &row.cells).any(|cell| cell.end.is_some());
                rows.iter_mut().for_each(|row| row.cells.retain(|cell| cell.end.is_none()));
                if has_acts {
                    columns.retain(|column| !column.is_empty());
                }
            }
        }
        self
    }
}

/// Seconds since 1970.
pub(crate) fn unix(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides_in_a_cell_and_nothing_turns_it() {
        assert_eq!(Cell::text("微信\u{202e}gnp.exe\u{200b}\n").text, "微信 gnp.exe  ");
        assert_eq!(Cell::text("公众号 · Zoë").text, "公众号 · Zoë");
    }
}
