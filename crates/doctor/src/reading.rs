//! The command line of a doctor: its own flags, and the service's settings, of which a wrong one ends nothing.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::builder::{OsStringValueParser, Resettable, ValueParser};
use clap::{Arg, Args, Command, Parser};
use server::settings::{self, NoSettings};

/// What a doctor was asked, and the settings that it found.
#[derive(Debug)]
pub struct Read<S, O> {
    /// The doctor's own flags.
    pub options: O,
    /// The service's settings, or what is wrong about each that is wrong.
    pub settings: Result<S, Vec<String>>,
    /// What was set, by a flag or a variable.
    pub given: Vec<Given>,
}

/// A setting that was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its name as a variable.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether the value says nothing about who set it: a number, a length of time, or one of few words.
    pub is_plain: bool,
}

/// The settings alone.
#[derive(Debug, Parser)]
#[command(disable_help_flag = true)]
struct Flags<S: Args> {
    #[command(flatten)]
    settings: S,
}

/// Reads a command line whose first argument is the program and whose second is the command, with the doctor's flags `O`
/// and those of the settings `S`, and the environment. `may_be_empty` is as in [`settings::parse_with_empty`].
///
/// # Errors
/// When help was asked for, or there is no such flag: nothing about a setting's value.
pub fn read<S: Args, O: Args>(
    arguments: impl IntoIterator<Item = OsString>,
    may_be_empty: impl Fn(&OsStr) -> bool,
) -> Result<Read<S, O>, NoSettings> {
    let of_settings = S::augment_args(Command::new("settings").disable_help_flag(true));
    let lenient = of_settings.get_arguments().map(|setting| {
        let any = ValueParser::from(OsStringValueParser::new());
        let setting = setting.clone().required(false).env(Resettable::Reset).default_value(Resettable::Reset);
        setting.value_delimiter(Resettable::Reset).value_parser(any)
    });
    let mut words = arguments.into_iter();
    let program = words.next().unwrap_or_default();
    let words = std::iter::once(program).chain(words.skip(1));
    let name = "doctor";
    let all = O::augment_args(Command::new(name)).args(lenient);
    let (options, flags) = settings::found(
        all,
        words,
        |_| false,
        |found| {
            let mut flags = Vec::new();
            for setting in of_settings.get_arguments() {
                let values = found.remove_many::<OsString>(setting.get_id().as_str()).into_iter().flatten();
                flags.extend(values.map(|value| (setting.get_id().clone(), value)));
            }
            Ok((O::from_arg_matches_mut(found)?, flags))
        },
    )?;
    let flag = |setting: &Arg, value: &OsStr| {
        let mut flag = OsString::from(format!("--{}=", setting.get_long().unwrap_or_default()));
        flag.push(value);
        flag
    };
    let (mut wrong, mut given, mut words) = (Vec::new(), Vec::new(), vec![OsString::from(name)]);
    for setting in of_settings.get_arguments() {
        let by_flag = flags.iter().filter(|(id, _)| id == setting.get_id());
        let own: Vec<OsString> = by_flag.clone().map(|(_, value)| flag(setting, value)).collect();
        let alone = Command::new(name).disable_help_flag(true).arg(setting.clone().required(false));
        let alone_words = std::iter::once(OsString::from(name)).chain(own.iter().cloned());
        let variable = setting.get_env().map(OsStr::to_owned).unwrap_or_default();
        if let Err(problem) = settings::found(alone, alone_words, &may_be_empty, |_| Ok(())) {
            // The problem names the flag, and most operators have set the variable.
            wrong.push(match variable.is_empty() {
                true => problem.text,
                false => format!("{}: {}", variable.to_string_lossy(), problem.text),
            });
        }
        let value = by_flag.map(|(_, value)| value.clone()).next();
        let value = value.or_else(|| std::env::var_os(&variable).filter(|value| !value.is_empty()));
        if let Some(value) = value {
            let value = value.to_string_lossy().into_owned();
            let is_plain = is_plain(setting, &value);
            given.push(Given { name: variable.to_string_lossy().into_owned(), value, is_plain });
        }
        words.extend(own);
    }
    let settings = match wrong.is_empty() {
        false => Err(wrong),
        true => settings::parse_with_empty::<Flags<S>>(words, may_be_empty)
            .map(|flags| flags.settings)
            .map_err(|missing| vec![missing.text]),
    };
    Ok(Read { options, settings, given })
}

/// Whether a value says nothing about who set it.
fn is_plain(setting: &Arg, value: &str) -> bool {
    let is_choice = setting.get_possible_values().iter().any(|choice| choice.matches(value, true));
    is_choice
        || value.parse::<u64>().is_ok()
        || settings::duration(value).is_ok_and(|time| time > Duration::ZERO)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::options::Options;

    #[derive(Debug, PartialEq, Args)]
    struct Settings {
        #[arg(long, value_delimiter = ',', default_value = "1,2")]
        numbers: Vec<u32>,
        #[arg(long, default_value = "120s", value_parser = settings::duration)]
        login_ttl: Duration,
        #[arg(long, default_value_t = false, action = clap::ArgAction::Set)]
        tls: bool,
        #[arg(long)]
        needed: String,
    }

    fn of(words: &str) -> Result<Read<Settings, Options>, NoSettings> {
        read(words.split(' ').map(OsString::from), |_| false)
    }

    #[test]
    fn every_wrong_setting_is_told_and_flags_of_both_kinds_may_be_mixed() {
        let read = of("p doctor --numbers 3,4 --json --tls=true --needed x --only a,b").unwrap();
        assert!(read.options.json);
        assert_eq!(read.options.only, ["a", "b"]);
        let settings = read.settings.unwrap();
        assert_eq!((&settings.numbers[..], settings.tls, &settings.needed[..]), (&[3, 4][..], true, "x"));
        let plain: Vec<bool> = read.given.iter().map(|given| given.is_plain).collect();
        assert_eq!(plain, [false, true, false]);

        let read = of("p doctor --numbers 3,x --login-ttl soon --tls maybe").unwrap();
        let wrong = read.settings.unwrap_err();
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        for (problem, named) in wrong.iter().zip(["--numbers", "--login-ttl", "--tls"]) {
            assert!(problem.contains(named) && !problem.contains('\n'), "{problem}");
        }
        let missing = of("p doctor").unwrap().settings.unwrap_err();
        assert!(missing.len() == 1 && missing[0].contains("--needed"), "{missing:?}");
    }

    #[test]
    fn flags_that_there_are_not_are_no_finding() {
        assert_eq!(of("p doctor --nedded x").unwrap_err().code, settings::EXIT_USAGE);
        assert_eq!(of("p doctor --wait soon").unwrap_err().code, settings::EXIT_USAGE);
        assert_eq!(of("p doctor --json --report").unwrap_err().code, settings::EXIT_USAGE);
        assert_eq!(of("p doctor --help").unwrap_err().code, 0);
    }
}
