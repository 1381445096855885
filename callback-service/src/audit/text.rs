//! Entries as a table for people.

use super::entry::{Entry, Personal};
use super::filter::Zone;
use crate::audit::list::Read;

/// The first line of the table.
pub(super) fn head() -> String {
    row(["time", "outcome", "way", "confirmed", "person", "address", "login", "site"])
}

/// One line of the table.
pub(super) fn line(read: &Read, zone: Zone, is_full: bool) -> String {
    let Entry { outcome, way, confirmed, login, site, account, erased, .. } = &read.entry;
    let time = zone.show(read.place.at);
    // To the second; the zone stays.
    let (seconds, rest) = time.split_at_checked(19).unwrap_or((&time, ""));
    let time = format!("{} {}", seconds.replace('T', " "), rest.get(4..).unwrap_or_default());
    let Personal { person, address, .. } = match &read.personal {
        Some(personal) => personal.clone(),
        None => Personal { person: String::new(), address: None, user_agent: None },
    };
    let person = match person.as_str() {
        "" => String::new(),
        openid if is_full => shown(openid),
        openid => shown(&wechat::Person::new(openid).short()),
    };
    let mut site = site.as_deref().map(shown).unwrap_or_default();
    if let Some(account) = account {
        site = format!("{site} at {}", shown(account)).trim_start().to_owned();
    }
    if let Some(erased) = erased {
        site = format!("{site} from {erased} entries").trim_start().to_owned();
    }
    row([
        &time,
        outcome.name(),
        way.map(|way| way.name()).unwrap_or_default(),
        confirmed.map(|confirmed| confirmed.name()).unwrap_or_default(),
        &person,
        &address.as_deref().map(shown).unwrap_or_default(),
        login.as_deref().unwrap_or_default(),
        &site,
    ])
}

/// Columns of a fixed width, so that lines can be written before the next ones are read. The last one has none.
fn row(columns: [&str; 8]) -> String {
    let [time, outcome, way, confirmed, person, address, login, site] =
        columns.map(|text| if text.is_empty() { "-" } else { text });
    format!(
        "{time:<26}  {outcome:<13}  {way:<13}  {confirmed:<12}  {person:<7}  {address:<15}  {login:<32}  {site}\n"
    )
}

/// A text from outside, which must not move the cursor of a terminal.
fn shown(text: &str) -> String {
    text.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use records::{Moment, Place};

    use super::*;
    use crate::audit::entry::{Confirmed, Outcome, Way};

    #[test]
    fn a_line_says_who_came_how_and_what_came_of_it() {
        let entry = Entry {
            login: Some("cd2abeeaa545d6de4cd772515432c561".to_owned()),
            site: Some("shop\u{1b}[2J".to_owned()),
            way: Some(Way::Scan),
            confirmed: Some(Confirmed::Number),
            ..Entry::of(Outcome::Granted)
        };
        let personal = Personal {
            person: "oPerson0123456789".to_owned(),
            address: Some("192.0.2.7".to_owned()),
            user_agent: None,
        };
        let place = Place { at: Moment(1_790_000_000_123), number: 0 };
        let read = Read { place, entry, personal: Some(personal) };
        let zone = "+08:00".parse().unwrap();
        assert_eq!(
            line(&read, zone, false).split_whitespace().collect::<Vec<_>>(),
            [
                "2026-09-21",
                "22:13:20",
                "+08:00",
                "granted",
                "scan",
                "number",
                "…456789",
                "192.0.2.7",
                "cd2abeeaa545d6de4cd772515432c561",
                "shop\\u{1b}[2J"
            ]
        );
        assert!(line(&read, zone, true).contains("oPerson0123456789"));
        let forgotten = Entry { erased: Some(3), ..Entry::of(Outcome::Forgotten) };
        let forgotten = line(&Read { place, entry: forgotten, personal: None }, zone, true);
        assert!(forgotten.ends_with("  from 3 entries\n"), "{forgotten}");
    }
}
