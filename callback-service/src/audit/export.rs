//! Entries for other programs: CSV (RFC 4180) and JSON lines. Both have all that is kept, with the whole openid.

use serde_json::{Map, Value};

use super::entry::{Entry, Personal};
use super::filter::Zone;
use crate::audit::list::Read;

/// The columns, in both formats.
const COLUMNS: [&str; 13] = [
    "time",
    "outcome",
    "site",
    "way",
    "confirmed",
    "account",
    "person",
    "address",
    "user_agent",
    "origin",
    "login",
    "session",
    "erased",
];

/// What each column says; nothing where it says nothing.
fn columns(read: &Read, zone: Zone) -> [Option<String>; COLUMNS.len()] {
    let Entry { outcome, login, account, site, way, confirmed, session, origin, erased } = read.entry.clone();
    let (person, address, user_agent) = match read.personal.clone() {
        None => (None, None, None),
        Some(Personal { person, address, user_agent }) => (Some(person), address, user_agent),
    };
    [
        Some(zone.show(read.place.at)),
        Some(outcome.name().to_owned()),
        site,
        way.map(|way| way.name().to_owned()),
        confirmed.map(|confirmed| confirmed.name().to_owned()),
        account,
        person,
        address,
        user_agent,
        origin,
        login,
        session,
        erased.map(|erased| erased.to_string()),
    ]
}

/// The first line of a CSV file.
pub(super) fn csv_head() -> String {
    format!("{}\r\n", COLUMNS.join(","))
}

/// One line of a CSV file.
pub(super) fn csv(read: &Read, zone: Zone) -> String {
    let fields = columns(read, zone).map(|field| csv_field(&field.unwrap_or_default()));
    format!("{}\r\n", fields.join(","))
}

/// A field of RFC 4180. Spreadsheets take what begins with one of these characters for a formula, and a browser may call
/// itself one: an apostrophe before it makes it a text.
fn csv_field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    match text.contains(['"', ',', '\r', '\n']) || text != text.trim() || is_formula {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

/// One line of JSON. What says nothing is left out.
pub(super) fn json(read: &Read, zone: Zone) -> String {
    let said = COLUMNS.iter().zip(columns(read, zone));
    let said = said.filter_map(|(&name, value)| Some((name.to_owned(), Value::from(value?))));
    let mut object: Map<String, Value> = said.collect();
    if let Some(erased) = read.entry.erased {
        object.insert("erased".to_owned(), erased.into());
    }
    format!("{}\n", Value::Object(object))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use records::{Moment, Place};

    use super::*;
    use crate::audit::entry::{Outcome, Way};

    fn read(user_agent: &str) -> Read {
        let personal = Personal {
            person: "oPerson".to_owned(),
            address: Some("2001:db8::1".to_owned()),
            user_agent: Some(user_agent.to_owned()),
        };
        let entry =
            Entry { site: Some("shop".to_owned()), way: Some(Way::Typed), ..Entry::of(Outcome::Granted) };
        Read { place: Place { at: Moment(1_790_000_000_123), number: 0 }, entry, personal: Some(personal) }
    }

    fn zone() -> Zone {
        "+08:00".parse().unwrap()
    }

    #[test]
    fn csv_is_quoted_where_it_must_be() {
        assert_eq!(csv_head().matches(',').count(), COLUMNS.len() - 1);
        let line = csv(&read("Mozilla/5.0 (X11, \"L\")"), zone());
        let expected = "2026-09-21T22:13:20.123+08:00,granted,shop,typed,,,oPerson,2001:db8::1,\
                        \"Mozilla/5.0 (X11, \"\"L\"\")\",,,,\r\n";
        assert_eq!(line, expected);
        for (text, field) in
            [("", ""), ("plain 长", "plain 长"), (" blank", "\" blank\""), ("two\nlines", "\"two\nlines\"")]
        {
            assert_eq!(csv_field(text), field);
        }
    }

    #[test]
    fn no_field_is_a_formula() {
        for text in
            ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "=HYPERLINK(\"http://x\",\"y\")"]
        {
            let field = csv_field(text);
            assert!(field.starts_with("\"'"), "{field}");
            assert_eq!(field.trim_matches('"').replace("\"\"", "\""), format!("'{text}").trim_matches('"'));
        }
        assert_eq!(csv_field("a=1"), "a=1");
    }

    #[test]
    fn json_has_what_is_known_and_nothing_else() {
        let line = json(&read("=1"), zone());
        let object: Map<String, Value> = serde_json::from_str(&line).unwrap();
        assert_eq!(object["time"], "2026-09-21T22:13:20.123+08:00");
        assert_eq!((&object["user_agent"], &object["person"]), (&"=1".into(), &"oPerson".into()));
        assert_eq!(object.len(), 7, "{line}");
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1);
        let forgotten = Entry { erased: Some(3), ..Entry::of(Outcome::Forgotten) };
        let forgotten = json(&Read { entry: forgotten, personal: None, ..read("") }, zone());
        assert!(forgotten.contains("\"erased\":3"), "{forgotten}");
    }
}
