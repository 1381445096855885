//! One account of the file: its keys, and what is written for each.

use std::collections::BTreeMap;

use secrecy::SecretString;
use server::settings::{self, SettingError};
use server::visible::{identifier, visible};
use toml::de::DeValue;

use super::{File, SETTING};

/// What is written for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A text without blanks.
    Id,
    Text,
    /// A text that nobody may see.
    Secret,
    /// The name of a file that holds such a text.
    SecretFile,
    Number,
    List,
}

/// Every key, by what is written for it. The services say what each means.
const KEYS: [(&str, Kind); 23] = [
    ("name", Kind::Id),
    ("app_id", Kind::Id),
    ("app_secret", Kind::Secret),
    ("app_secret_file", Kind::SecretFile),
    ("ways", Kind::List),
    // callback-service's.
    ("token", Kind::Secret),
    ("token_file", Kind::SecretFile),
    ("token_previous", Kind::Secret),
    ("token_previous_file", Kind::SecretFile),
    ("aes_key", Kind::Secret),
    ("aes_key_file", Kind::SecretFile),
    ("aes_key_previous", Kind::Secret),
    ("aes_key_previous_file", Kind::SecretFile),
    ("mode", Kind::Id),
    ("original_id", Kind::Id),
    ("component_app_id", Kind::Id),
    // Its query may be a secret.
    ("relay", Kind::Secret),
    // ws-gateway's.
    ("qr_per_day", Kind::Number),
    ("title", Kind::Text),
    ("account_name", Kind::Text),
    ("account_qr", Kind::Text),
    ("qr", Kind::Id),
    ("web_url", Kind::Text),
];

/// What is written. Debug shows no secret.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Secret(SecretString),
    Number(u32),
    List(Vec<String>),
}

/// Where an entry stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) file: File,
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) name: String,
    /// Of its header.
    pub(super) line: usize,
}

impl Place {
    /// What is wrong there, in one line.
    pub(super) fn told(&self, line: usize, key: &str, problem: &str) -> String {
        format!("line {line}, account {} ({:?}): {key}: {problem}", self.number, self.name)
    }
}

/// One official account.
#[derive(Debug, Clone)]
pub struct Entry {
    /// By key: the line, and what is written.
    pub(super) values: BTreeMap<&'static str, (usize, Value)>,
    pub(super) place: Place,
}

impl Entry {
    /// The account's name, which pages and sites use, and which stands behind `/wechat/`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.place.name
    }

    /// The account's appid.
    #[must_use]
    pub fn app_id(&self) -> &str {
        self.text("app_id").unwrap_or_default()
    }

    /// The text of a key, if it is written.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.values.get(key) {
            Some((_, Value::Text(text))) => Some(text),
            _ => None,
        }
    }

    /// The number of a key, if it is written.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u32> {
        match self.values.get(key) {
            Some((_, Value::Number(number))) => Some(*number),
            _ => None,
        }
    }

    /// The texts of a key, if it is written.
    #[must_use]
    pub fn list(&self, key: &str) -> Option<&[String]> {
        match self.values.get(key) {
            Some((_, Value::List(texts))) => Some(texts),
            _ => None,
        }
    }

    /// The secret of a key, or of the file that `<key>_file` names: beside the file of accounts, if it has no folder. A file
    /// is read when it is asked for, so that each service needs only its own.
    ///
    /// # Errors
    /// When both are written, the file cannot be used, or the secret is the demo's.
    pub fn secret(&self, key: &str) -> Result<Option<SecretString>, SettingError> {
        let (own, file) = (self.values.get(key), format!("{key}_file"));
        let secret = match (own, self.text(&file)) {
            (Some(_), Some(_)) => return Err(self.wrong(key, format!("write it or {file}, not both"))),
            (Some((_, Value::Secret(secret))), None) => secret.clone(),
            (None, Some(path)) => {
                let path = self.place.file.folder.join(path);
                let read = settings::secret_of_file(&path);
                read.map_err(|problem| self.wrong(&file, format!("{}: {problem}", path.display())))?
            }
            _ => return Ok(None),
        };
        if !self.place.file.takes_printed
            && settings::is_printed(&format!("WECHAT_{}", key.to_uppercase()), &secret)
        {
            return Err(self.wrong(key, "is the demo's, which everybody can read; set your own"));
        }
        Ok(Some(secret))
    }

    /// A secret that must be there.
    ///
    /// # Errors
    /// As [`Entry::secret`], and when it is not written.
    pub fn needed(&self, key: &str) -> Result<SecretString, SettingError> {
        self.secret(key)?.ok_or_else(|| self.wrong(key, format!("is missing; write it or {key}_file")))
    }

    /// Says what is wrong with the value of a key.
    pub fn wrong(&self, key: &str, problem: impl std::fmt::Display) -> SettingError {
        let told = self.place.told(self.line_of(key), key, &problem.to_string());
        SettingError::new(SETTING, format!("{}: {told}", self.place.file.shown))
    }

    /// The line of a key, or of the entry where there is none.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.values.get(key).map_or(self.place.line, |(line, _)| *line)
    }
}

/// Reads what is written for a key.
pub(super) fn value(key: &str, written: &DeValue<'_>) -> Result<(&'static str, Value), String> {
    let Some((key, kind)) = KEYS.iter().find(|(known, _)| *known == key) else {
        let known: Vec<_> = KEYS.iter().map(|(known, _)| *known).collect();
        return Err(format!("is no key of an account; there are {}", known.join(", ")));
    };
    let text =
        || written.as_str().filter(|text| !text.is_empty()).ok_or("write a text in \"quotes\"".to_owned());
    let value = match kind {
        Kind::Id => Value::Text(identifier(text()?)?),
        Kind::Text | Kind::SecretFile => Value::Text(visible(text()?)?.to_owned()),
        Kind::Secret => Value::Secret(settings::secret_of_text(text()?)?),
        Kind::Number => {
            let number = written.as_integer().and_then(|number| {
                u32::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
            });
            Value::Number(number.ok_or("write a number")?)
        }
        Kind::List => {
            let texts = written.as_array().and_then(|texts| {
                texts
                    .iter()
                    .map(|text| text.get_ref().as_str().map(str::to_owned))
                    .collect::<Option<Vec<_>>>()
            });
            Value::List(texts.filter(|texts| !texts.is_empty()).ok_or("write a list, such as [\"scan\"]")?)
        }
    };
    Ok((key, value))
}
