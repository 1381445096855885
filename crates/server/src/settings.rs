//! Settings: environment variables and equal flags, secrets from the environment or a file.
//!
//! Wrong or missing settings end the start with exit code 64 (`EX_USAGE` of sysexits.h) and a
//! line for each that names it. Nothing is bound before the settings have been found good.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{ArgMatches, Command, Parser};
use secrecy::{ExposeSecret, SecretString};

use crate::listen::PLACES;
use crate::visible::visible;

/// How long a connection may be idle between requests. Less than a second would be too short for a next request, and no
/// balancer keeps a connection for more than an hour.
const KEEP_ALIVE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// The exit code of a process whose settings are wrong: `EX_USAGE`.
pub const EXIT_USAGE: u8 = 64;

/// Bytes of a secret's file. A secret is a key or a password, not a document.
const MAX_SECRET_FILE: u64 = 64 * 1024;

/// A setting that is wrong or missing. Its text is one line, names the setting and says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct SettingError {
    name: String,
    problem: String,
}

impl SettingError {
    /// Says that the setting `name` has `problem`.
    pub fn new(name: impl Into<String>, problem: impl Display) -> Self {
        Self { name: name.into(), problem: problem.to_string() }
    }

    /// The setting's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Everything that is wrong about the settings, so that nobody has to start a service once for each fault.
#[derive(Debug, Default)]
pub struct Wrong(Vec<SettingError>);

impl Wrong {
    /// The value, or `None` where there is an error, which is noted. Each setting is named once: what cannot be read is not
    /// missing as well.
    pub fn note<T>(&mut self, result: Result<T, SettingError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                if !self.0.iter().any(|known| of_secret(&known.name) == of_secret(&error.name)) {
                    self.0.push(error);
                }
                None
            }
        }
    }

    /// As [`secret`], where an error is noted.
    pub fn secret(&mut self, name: &str) -> Option<SecretString> {
        self.note(secret(name)).flatten()
    }

    /// What was made of the settings, unless something is wrong about them.
    ///
    /// # Errors
    /// What is wrong.
    pub fn unless<T>(self, made: Option<T>) -> Result<T, Self> {
        made.filter(|_| self.0.is_empty()).ok_or(self)
    }

    /// A line for each fault.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(SettingError::to_string).collect()
    }
}

/// The secret that a setting is, or whose file it names.
fn of_secret(name: &str) -> &str {
    name.strip_suffix("_FILE").unwrap_or(name)
}

/// Why [`parse`] gave no settings: what to print, and the exit code that goes with it.
#[derive(Debug)]
pub struct NoSettings {
    /// `--help` or `--version` text, or a line about each thing that is wrong.
    pub text: String,
    /// 0 when help or the version was asked for, else [`EXIT_USAGE`].
    pub code: u8,
}

impl NoSettings {
    /// Prints the text where it belongs and gives the exit code.
    #[expect(clippy::print_stdout, reason = "this is what --help and --version are for")]
    pub fn report(&self, program: &str) -> ExitCode {
        if self.code == 0 {
            print!("{}", self.text);
        } else {
            for line in self.text.lines() {
                eprintln!("{program}: {line}");
            }
        }
        ExitCode::from(self.code)
    }
}

impl From<SettingError> for NoSettings {
    fn from(error: SettingError) -> Self {
        Self { text: error.to_string(), code: EXIT_USAGE }
    }
}

impl From<Wrong> for NoSettings {
    fn from(wrong: Wrong) -> Self {
        Self { text: wrong.lines().join("\n"), code: EXIT_USAGE }
    }
}

/// Reads the settings `T` from the command line and the environment.
///
/// An environment variable that is set but empty counts as not set, because compose files and unit
/// files pass empty variables for what an operator left out.
///
/// # Errors
/// [`NoSettings`] when help or the version was asked for, or when a setting is wrong.
pub fn parse<T: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<T, NoSettings> {
    parse_with_empty(arguments, |_| false)
}

/// As [`parse`], but an empty variable is a value of each setting that `may_be_empty` accepts.
///
/// # Errors
/// As [`parse`].
pub fn parse_with_empty<T: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    may_be_empty: impl Fn(&OsStr) -> bool,
) -> Result<T, NoSettings> {
    found(T::command(), arguments, may_be_empty, T::from_arg_matches_mut)
}

/// What `read` makes of the arguments and the environment, as `command` parses them. An empty variable is never a value
/// of a subcommand's setting.
///
/// # Errors
/// As [`parse`].
pub fn found<T>(
    command: Command,
    arguments: impl IntoIterator<Item = OsString>,
    may_be_empty: impl Fn(&OsStr) -> bool,
    read: impl FnOnce(&mut ArgMatches) -> Result<T, clap::Error>,
) -> Result<T, NoSettings> {
    let command = without_empty(command, may_be_empty)
        .mut_subcommands(|subcommand| without_empty(subcommand, |_| false));
    command.try_get_matches_from(arguments).and_then(|mut found| read(&mut found)).map_err(
        |error| match error.kind() {
            clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion => {
                NoSettings { text: error.to_string(), code: 0 }
            }
            _ => NoSettings { text: first_line(&error.to_string()), code: EXIT_USAGE },
        },
    )
}

/// Makes empty environment variables count as not set.
fn without_empty(command: Command, may_be_empty: impl Fn(&OsStr) -> bool) -> Command {
    command.mut_args(|argument| {
        let unset = argument.get_env().is_some_and(|name| {
            !may_be_empty(name) && std::env::var_os(name).is_some_and(|value| value.is_empty())
        });
        if unset { argument.env(Resettable::Reset) } else { argument }
    })
}

/// As [`parse`], for a program that runs another one inside itself with these flags.
///
/// # Errors
/// As [`parse`].
pub fn parse_flags<T: Parser>(program: &str, flags: &[&str]) -> Result<T, NoSettings> {
    parse(std::iter::once(program).chain(flags.iter().copied()).map(OsString::from))
}

/// clap explains an error in several lines. The first paragraph has the name and the fault.
fn first_line(text: &str) -> String {
    let paragraph = text.strip_prefix("error: ").unwrap_or(text).split("\n\n").next().unwrap_or_default();
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reads the secret `name` from the environment, or from the file that `<name>_FILE` names.
///
/// Line ends behind it are removed, because editors and `echo` add them. An empty variable counts as not set.
///
/// # Errors
/// When both are set, the file cannot be read, or the secret is empty, not UTF-8, or has characters that nobody sees.
/// The text never holds the secret.
pub fn secret(name: &str) -> Result<Option<SecretString>, SettingError> {
    secret_from(name, |variable| std::env::var_os(variable))
}

fn secret_from(
    name: &str,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<SecretString>, SettingError> {
    let file_name = format!("{name}_FILE");
    let set = |variable: &str| lookup(variable).filter(|value| !value.is_empty());
    match (set(name), set(&file_name)) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(SettingError::new(name, format!("set it or {file_name}, not both"))),
        (Some(value), None) => {
            let text = value.into_string().map_err(|_| SettingError::new(name, "is not UTF-8"))?;
            secret_of_text(&text).map(Some).map_err(|problem| SettingError::new(name, problem))
        }
        (None, Some(path)) => secret_of_file(Path::new(&path)).map(Some).map_err(|problem| {
            SettingError::new(file_name, format!("{}: {problem}", path.to_string_lossy().escape_debug()))
        }),
    }
}

/// The secret in a file.
///
/// # Errors
/// When the file cannot be read or is too large, and as [`secret_of_text`].
pub fn secret_of_file(path: &Path) -> Result<SecretString, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_SECRET_FILE {
        return Err(format!("is {size} bytes long; a secret has at most {MAX_SECRET_FILE}"));
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    secret_of_text(&text)
}

/// The secret that is written as `text`.
///
/// # Errors
/// When it is empty or has characters that nobody sees. The error never holds it.
pub fn secret_of_text(text: &str) -> Result<SecretString, String> {
    match visible(text)? {
        "" => Err("is empty".to_owned()),
        text => Ok(SecretString::from(text)),
    }
}

/// As [`secret`], for one that must be there.
///
/// # Errors
/// As [`secret`], and when the secret is not set.
pub fn required_secret(name: &str) -> Result<SecretString, SettingError> {
    needed(name, secret(name)?)
}

/// The secret `name`, which must have been set.
///
/// # Errors
/// When it was not.
pub fn needed(name: &str, secret: Option<SecretString>) -> Result<SecretString, SettingError> {
    secret.ok_or_else(|| SettingError::new(name, format!("is not set; set it or {name}_FILE")))
}

/// The demo's secrets, which deploy/compose.yaml prints for everybody to read, and the settings that hold them.
const PRINTED: [(&str, &str); 4] = [
    ("NOTIFY_KEY", "only-for-the-demo-on-one-machine-never-anywhere-else"),
    ("WECHAT_APP_SECRET", "0123456789abcdef0123456789abcdef"),
    ("WECHAT_TOKEN", "demotokenofthesimulator"),
    ("WECHAT_AES_KEY", "SimulatorDemoKeySimulatorDemoKeySimulator12"),
];

/// Refuses secrets that are printed for everybody to read. Outside of a demo, any reader could send pushes and notices
/// with them.
///
/// # Errors
/// When one of them is printed; the error names its setting.
pub fn refuse_printed(secrets: &[(&str, Option<&SecretString>)]) -> Result<(), SettingError> {
    match secrets.iter().find(|(name, secret)| secret.is_some_and(|secret| is_printed(name, secret))) {
        None => Ok(()),
        Some((name, _)) => Err(SettingError::new(
            *name,
            "is the demo's, which everybody can read; set your own. It is taken only where WECHAT_API_URL is a \
             simulated WeChat, on loopback or by plain http",
        )),
    }
}

/// Whether this is the secret of the setting `name` that is printed for everybody to read.
#[must_use]
pub fn is_printed(name: &str, secret: &SecretString) -> bool {
    let holds = |(of, printed): &(&str, &str)| name.starts_with(of) && secret.expose_secret() == *printed;
    PRINTED.iter().any(holds)
}

/// Reads a length of time such as `120s`, `1500ms` or `2m`, for use as a clap value parser.
///
/// # Errors
/// When the text has no unit or is no length of time.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write for example 120s or 1500ms"))
}

/// Reads how long a connection may be idle between requests, for use as a clap value parser.
///
/// # Errors
/// When the text is no length of time, or not between 1 s and an hour.
pub fn keep_alive(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if KEEP_ALIVE.contains(&time) { Ok(time) } else { Err("must be between 1s and 1h".to_owned()) }
}

/// Reads how many connections or the like there may be at once, for use as a clap value parser.
///
/// # Errors
/// When the text is no number, or not between 1 and a million.
pub fn places(text: &str) -> Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|number| PLACES.contains(number));
    number.ok_or_else(|| format!("must be between {} and {}", PLACES.start(), PLACES.end()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    use super::*;

    #[derive(Debug, Parser)]
    struct Example {
        #[arg(long, default_value = "120s", value_parser = duration)]
        login_ttl: Duration,
        #[arg(long)]
        needed: String,
    }

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_wrong_setting_is_one_line_that_names_it() {
        let error = parse::<Example>(words("x --login-ttl soon --needed y")).unwrap_err();
        assert_eq!(error.code, EXIT_USAGE);
        assert!(error.text.contains("--login-ttl"), "{}", error.text);
        assert!(!error.text.contains('\n'), "{}", error.text);

        let missing = parse::<Example>(words("x")).unwrap_err();
        assert_eq!(missing.code, EXIT_USAGE);
        assert!(missing.text.contains("--needed"), "{}", missing.text);
        assert!(!missing.text.contains('\n'), "{}", missing.text);
    }

    #[test]
    fn all_that_is_wrong_is_told_and_each_setting_once() {
        let mut wrong = Wrong::default();
        assert_eq!(wrong.note(Ok::<_, SettingError>(1)), Some(1));
        for (name, problem) in
            [("KEY_FILE", "cannot be read"), ("KEY", "is not set"), ("PORT", "is no number")]
        {
            assert_eq!(wrong.note(Err::<(), _>(SettingError::new(name, problem))), None);
        }
        let refused = NoSettings::from(wrong.unless(Some(())).unwrap_err());
        assert_eq!(refused.text, "KEY_FILE: cannot be read\nPORT: is no number");
        assert_eq!(Wrong::default().unless(Some(1)).unwrap(), 1);
    }

    #[test]
    fn a_printed_secret_is_named_and_not_shown() {
        let (own, printed) = (SecretString::from("my own"), SecretString::from(PRINTED[2].1));
        let secrets =
            [("NOTIFY_KEY", None), ("WECHAT_TOKEN", Some(&own)), ("WECHAT_TOKEN_PREVIOUS", Some(&printed))];
        refuse_printed(&secrets[..2]).unwrap();
        let refused = refuse_printed(&secrets).unwrap_err().to_string();
        assert!(
            refused.starts_with("WECHAT_TOKEN_PREVIOUS: ") && !refused.contains(PRINTED[2].1),
            "{refused}"
        );
    }

    #[test]
    fn help_is_no_error() {
        assert_eq!(parse::<Example>(words("x --help")).unwrap_err().code, 0);
    }

    #[test]
    fn a_secret_comes_from_the_variable_or_the_file_but_not_both() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"from the file\r\n").unwrap();
        let path = file.path().as_os_str().to_owned();
        let of = |direct: Option<&str>, path: Option<OsString>| {
            let direct = direct.map(OsString::from);
            secret_from("KEY", move |name| if name == "KEY" { direct.clone() } else { path.clone() })
        };

        assert_eq!(of(Some("plain"), None).unwrap().unwrap().expose_secret(), "plain");
        assert_eq!(of(None, Some(path.clone())).unwrap().unwrap().expose_secret(), "from the file");
        assert!(of(None, None).unwrap().is_none());
        assert!(of(Some(""), None).unwrap().is_none(), "empty counts as not set");
        for wrong in ["\u{feff}s3cret", "s3cret ", "\"s3cret\""] {
            let problem = of(Some(wrong), None).unwrap_err().to_string();
            assert!(problem.starts_with("KEY: has a ") && !problem.contains("s3cret"), "{problem}");
            std::fs::write(&path, wrong).unwrap();
            let problem = of(None, Some(path.clone())).unwrap_err().to_string();
            assert!(problem.starts_with("KEY_FILE: ") && problem.contains(": has a "), "{problem}");
            assert!(!problem.contains("s3cret"), "{problem}");
        }
        assert!(of(Some("\r"), None).unwrap_err().to_string().contains("is empty"));
        let both = of(Some("s3cret"), Some(path)).unwrap_err().to_string();
        assert!(both.contains("KEY_FILE") && !both.contains("s3cret"), "{both}");
        assert!(of(None, Some("/nowhere/at/all".into())).unwrap_err().to_string().contains("KEY_FILE"));
    }
}
