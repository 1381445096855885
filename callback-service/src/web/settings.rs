//! What an operator sets about logins inside WeChat.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use bytes::Bytes;
use clap::Args;
use server::settings::SettingError;
use wechat::Scope;

use crate::provider::settings::ForBrowsers;

/// Bytes of a verification file. WeChat's have 16.
const MOST_BYTES: u64 = 1024;

/// Verification files at once: an account has two domains, and an installation may have several accounts.
const MOST_FILES: usize = 64;

/// The beginning and the end of a verification file's name.
const PREFIX: &str = "MP_verify_";
const SUFFIX: &str = ".txt";

/// Letters and digits between them.
const NAME: std::ops::RangeInclusive<usize> = 1..=64;

const SETTING: &str = "CALLBACK_WEB_AUTHORIZATION";

/// What an operator sets.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// Whether people log in inside WeChat by its web authorization (网页授权), which verified service accounts have: off;
    /// base, which tells who it is; userinfo, which asks the person for nickname, picture and unionid as well.
    #[arg(long, env, default_value = "off")]
    callback_web_authorization: Authorization,

    /// The files MP_verify_….txt that WeChat's console gives out for the domains of web authorizations, comma-separated. They
    /// are read at the start, and served at the root.
    #[arg(long, env, value_delimiter = ',')]
    callback_mp_verify: Vec<PathBuf>,
}

/// Whether and what WeChat is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Authorization(Option<Scope>);

impl FromStr for Authorization {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "off" => Ok(Self(None)),
            "base" => Ok(Self(Some(Scope::Base))),
            "userinfo" => Ok(Self(Some(Scope::UserInfo))),
            _ => Err("write off, base or userinfo"),
        }
    }
}

/// The verification files, by their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct VerifyFiles(BTreeMap<String, Bytes>);

impl VerifyFiles {
    /// What is at this path.
    pub(crate) fn at(&self, path: &str) -> Option<Bytes> {
        self.0.get(path.strip_prefix('/')?).cloned()
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All of them, each with its name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text))
    }

    fn read(paths: &[PathBuf]) -> Result<Self, SettingError> {
        let wrong = |problem: String| SettingError::new("CALLBACK_MP_VERIFY", problem);
        if paths.len() > MOST_FILES {
            return Err(wrong(format!("names more than {MOST_FILES} files")));
        }
        let mut files = BTreeMap::new();
        for path in paths {
            let shown = path.display();
            let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_verify_name(name));
            let name = name.ok_or_else(|| {
                wrong(format!(
                    "{shown} has another name than MP_verify_….txt; keep the one that WeChat gave it"
                ))
            })?;
            let text = server::file::read(path, MOST_BYTES)
                .map_err(|error| wrong(format!("cannot read {shown}: {error}; is it WeChat's?")))?;
            if files.insert(name.to_owned(), Bytes::from(text)).is_some() {
                return Err(wrong(format!("names two files {name}")));
            }
        }
        Ok(Self(files))
    }
}

/// Whether a file has the name that WeChat gives it.
fn is_verify_name(name: &str) -> bool {
    let middle = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    middle.is_some_and(|middle| {
        NAME.contains(&middle.len()) && middle.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// What logins inside WeChat run with.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub scope: Scope,
    pub browsers: ForBrowsers,
}

impl Settings {
    /// What WeChat is asked, where it is asked.
    pub(crate) fn scope(&self) -> Option<Scope> {
        self.callback_web_authorization.0
    }

    /// Checks the settings, with those that `for_browsers` gives where they are needed.
    ///
    /// # Errors
    /// Which one is wrong or missing.
    pub(crate) fn checked(
        &self,
        for_browsers: impl FnOnce(&str) -> Result<ForBrowsers, SettingError>,
    ) -> Result<(Option<Checked>, VerifyFiles), SettingError> {
        let files = VerifyFiles::read(&self.callback_mp_verify)?;
        let checked = match self.scope() {
            None => None,
            Some(scope) => Some(Checked { scope, browsers: for_browsers(SETTING)? }),
        };
        Ok((checked, files))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    #[test]
    fn only_wechats_own_files_are_served() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: u64| {
            let path = folder.path().join(name);
            fs::write(&path, vec![b'x'; usize::try_from(bytes).unwrap()]).unwrap();
            path
        };
        let good = file("MP_verify_aB3.txt", 16);
        let files = VerifyFiles::read(std::slice::from_ref(&good)).unwrap();
        assert_eq!(files.at("/MP_verify_aB3.txt").unwrap().len(), 16);
        for path in ["/MP_verify_aB4.txt", "MP_verify_aB3.txt", "//MP_verify_aB3.txt", "/"] {
            assert_eq!(files.at(path), None, "{path}");
        }
        for (paths, problem) in [
            (vec![file("MP_verify_.txt", 1)], "another name"),
            (vec![file("MP_verify_a-b.txt", 1)], "another name"),
            (vec![file("secret.txt", 1)], "another name"),
            (vec![file("MP_verify_long.txt", MOST_BYTES + 1)], "more than 1024 bytes"),
            (vec![folder.path().join("MP_verify_nowhere.txt")], "cannot read"),
            (vec![good.clone(), good], "two files"),
        ] {
            let error = VerifyFiles::read(&paths).unwrap_err().to_string();
            assert!(error.starts_with("CALLBACK_MP_VERIFY: ") && error.contains(problem), "{error}");
        }
    }
}
