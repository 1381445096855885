//! What is logged, by the text of `RUST_LOG`.

use tracing_subscriber::filter::{LevelFilter, Targets};

/// Reads a level, or levels of modules, separated by commas. A name without a level is refused: it is rather a misspelt
/// level, and would silence the log.
///
/// # Errors
/// What is wrong, and what would be right.
pub(super) fn read(text: &str) -> Result<Targets, String> {
    let mut filter = Targets::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (module, level) =
            part.split_once('=').map_or((None, part), |(module, level)| (Some(module), level));
        filter = match (module, level_of(level)) {
            (None, Some(level)) => filter.with_default(level),
            (Some(module), Some(level)) if is_module(module) => filter.with_target(module, level),
            _ => {
                return Err(format!(
                    "{part:?} is neither a level nor a level of a module: take off, error, warn, info, debug or trace, or \
                     for one module more, info,ws_gateway=debug"
                ));
            }
        };
    }
    Ok(filter)
}

fn level_of(word: &str) -> Option<LevelFilter> {
    // The library takes nothing for a level as well.
    Some(word).filter(|word| !word.is_empty())?.parse().ok()
}

fn is_module(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tracing_subscriber::filter::LevelFilter as Level;

    use super::*;

    #[test]
    fn levels_are_read() {
        assert_eq!(read("info").unwrap(), Targets::new().with_default(Level::INFO));
        assert_eq!(read("OFF").unwrap(), Targets::new().with_default(Level::OFF));
        let both = Targets::new().with_default(Level::INFO).with_target("ws_gateway::browsers", Level::DEBUG);
        assert_eq!(read("info,ws_gateway::browsers=debug").unwrap(), both);
        assert_eq!(read(" info, ws_gateway::browsers=debug,").unwrap(), both);
    }

    #[test]
    fn what_is_no_level_is_refused_and_not_taken_for_a_module() {
        for wrong in [
            "inof",
            "[[[",
            "ws_gateway",
            "ws_gateway=",
            "=info",
            "info,ws-gateway=debug",
            "ws_gateway[scan]=debug",
        ] {
            let problem = read(wrong).unwrap_err();
            assert!(problem.contains("neither a level"), "{wrong}: {problem}");
        }
    }
}
