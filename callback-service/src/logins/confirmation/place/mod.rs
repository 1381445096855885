//! Where an address is, as far as a file of the operator's says; else the address itself, shortened.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use login_page::Language;
use maxminddb::Reader;
use maxminddb::geoip2::{City, Names};
use server::address::shortened;

/// The largest file that is taken: it is kept in memory. GeoLite2-City has 60 MB.
const MAX_FILE: u64 = 512 * 1024 * 1024;

/// Knows places of addresses. Clones share the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(Option<Arc<Reader<Vec<u8>>>>);

impl Places {
    /// Places by a file in MaxMind's format, such as GeoLite2-City or GeoLite2-Country.
    ///
    /// # Errors
    /// What is wrong with the file, in one line.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let told = |problem: String| format!("{}: {problem}", path.to_string_lossy().escape_debug());
        let file = server::file::read(path, MAX_FILE).map_err(|error| told(error.to_string()))?;
        let no_database = |_| told("is no database in MaxMind's format (.mmdb)".to_owned());
        let reader = Reader::from_source(file).map_err(no_database)?;
        let kind = &reader.metadata().database_type;
        match kind.contains("City") || kind.contains("Country") {
            true => Ok(Self(Some(Arc::new(reader)))),
            false => Err(told(format!("it is a {kind:?}; take one of cities or countries"))),
        }
    }

    /// The place of an address in words, or the address without its last half.
    pub(crate) fn of(&self, address: &str, language: Language) -> String {
        let Ok(address) = address.parse::<IpAddr>() else { return unknown(language).to_owned() };
        let address = address.to_canonical();
        self.named(address, language).unwrap_or_else(|| shortened(address))
    }

    fn named(&self, address: IpAddr, language: Language) -> Option<String> {
        let found = self.0.as_ref()?.lookup(address).ok()?;
        let city: City<'_> = found.decode().ok().flatten()?;
        let name = |names: &Names<'_>| match language {
            Language::Chinese => names.simplified_chinese.or(names.english).map(str::to_owned),
            Language::English => names.english.map(str::to_owned),
        };
        let region = city.subdivisions.first().and_then(|region| name(&region.names));
        let mut parts: Vec<String> = Vec::new();
        for part in [name(&city.country.names), region, name(&city.city.names)].into_iter().flatten() {
            // Beijing is a city and a region, which is 北京 and 北京市.
            let is_said = |said: &String| said.trim_end_matches('市') == part.trim_end_matches('市');
            if !parts.iter().any(is_said) {
                parts.push(part);
            }
        }
        let place = match language {
            Language::Chinese => parts.join(" "),
            Language::English => parts.into_iter().rev().collect::<Vec<_>>().join(", "),
        };
        (!place.is_empty()).then_some(place)
    }
}

fn unknown(language: Language) -> &'static str {
    match language {
        Language::Chinese => "未知",
        Language::English => "unknown",
    }
}

#[cfg(test)]
mod tests;
