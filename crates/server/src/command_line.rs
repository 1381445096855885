//! What a program is asked to do: to serve, with its settings, or one of its commands, such as `health`.
//!
//! A command has settings of its own and needs none of those for serving, so a wrong one of those does not stop it.

use std::ffi::{OsStr, OsString};

use clap::{Args, Command, Subcommand};

use crate::settings::{self, NoSettings};

/// What the command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine<S, C> {
    /// Serve with these settings.
    Serve(S),
    /// Do this command.
    Do(C),
}

/// Reads the command line of a program, whose name, version and words in `--help` are `program`. The first argument may
/// name one of the commands `C`. Otherwise the settings `S` are read from flags and the environment; `may_be_empty` says
/// for which of them an empty environment variable is a value.
///
/// # Errors
/// [`NoSettings`] when help or the version was asked for, or when something is wrong.
pub fn read<S: Args, C: Subcommand>(
    program: Command,
    arguments: impl IntoIterator<Item = OsString>,
    may_be_empty: impl Fn(&OsStr) -> bool,
) -> Result<CommandLine<S, C>, NoSettings> {
    let mut arguments = arguments.into_iter().peekable();
    let name = arguments.next().unwrap_or_default();
    let is_command = arguments.peek().and_then(|first| first.to_str()).is_some_and(C::has_subcommand);
    let arguments = std::iter::once(name).chain(arguments);
    // clap would show the comments on `S` and `C` in place of the program's own words.
    let about = program.get_about().cloned().unwrap_or_default();
    // Every subcommand is shown in the program's help.
    let program = C::augment_subcommands(program).disable_help_subcommand(true).propagate_version(true);
    if is_command {
        return settings::found(program, arguments, |_| false, C::from_arg_matches_mut).map(CommandLine::Do);
    }
    let program = S::augment_args(program).about(about).args_conflicts_with_subcommands(true);
    settings::found(program, arguments, may_be_empty, S::from_arg_matches_mut).map(CommandLine::Serve)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Settings.
    #[derive(Debug, PartialEq, Args)]
    struct Settings {
        #[arg(long)]
        needed: u32,
    }

    /// Tasks.
    #[derive(Debug, PartialEq, Subcommand)]
    enum Task {
        /// Asks.
        Health {
            #[arg(long, default_value_t = 1)]
            at: u32,
        },
    }

    fn of(words: &str) -> Result<CommandLine<Settings, Task>, NoSettings> {
        let program = Command::new("example").about("Shows how").version("1.2.3");
        read(program, words.split(' ').map(OsString::from), |_| false)
    }

    #[test]
    fn a_command_needs_no_settings_and_serving_needs_all() {
        assert_eq!(of("example health").unwrap(), CommandLine::Do(Task::Health { at: 1 }));
        assert_eq!(of("example health --at 2").unwrap(), CommandLine::Do(Task::Health { at: 2 }));
        assert_eq!(of("example --needed 3").unwrap(), CommandLine::Serve(Settings { needed: 3 }));
        for (wrong, named) in [
            ("example", "--needed"),
            ("example --needed x", "--needed"),
            ("example helth", "helth"),
            ("example health --needed 3", "--needed"),
            ("example --needed 3 health", "health"),
        ] {
            let error = of(wrong).unwrap_err();
            assert_eq!(error.code, settings::EXIT_USAGE, "{wrong}");
            assert!(error.text.contains(named) && !error.text.contains('\n'), "{wrong}: {}", error.text);
        }
    }

    #[test]
    fn help_shows_commands_and_settings() {
        let help = of("example --help").unwrap_err();
        assert!(help.text.starts_with("Shows how"), "{}", help.text);
        assert!(
            help.code == 0 && help.text.contains("health") && help.text.contains("--needed"),
            "{}",
            help.text
        );
        let help = of("example health --help").unwrap_err();
        assert!(
            help.code == 0 && help.text.contains("--at") && !help.text.contains("--needed"),
            "{}",
            help.text
        );
        for version in ["example --version", "example health --version"] {
            assert!(of(version).unwrap_err().text.contains("1.2.3"), "{version}");
        }
    }
}
