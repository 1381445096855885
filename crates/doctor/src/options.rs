//! What an operator may ask of a doctor.

use std::time::Duration;

use clap::Args;
use server::settings::SettingError;

use crate::category::{Category, SETTINGS};
use crate::words::Language;

/// The flags of every doctor.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
pub struct Options {
    /// Prints JSON: success, and categories with their checks (description, result, error, hint).
    #[arg(long, conflicts_with = "report", help_heading = "Doctor")]
    pub json: bool,

    /// Looks at these categories alone, with a comma between them. A wrong name gets the list of all. Settings that are
    /// wrong are told all the same.
    #[arg(long, value_delimiter = ',', value_name = "CATEGORIES", help_heading = "Doctor")]
    pub only: Vec<String>,

    /// Looks again at what failed until it is well or this time is over, such as 2m.
    #[arg(long, value_parser = server::settings::duration, value_name = "TIME", help_heading = "Doctor")]
    pub wait: Option<Duration>,

    /// The language of the words. Unset: that of LC_ALL, LC_MESSAGES or LANG.
    #[arg(long, value_enum, help_heading = "Doctor")]
    pub lang: Option<Language>,

    /// Prints what can be shown to strangers, such as in an issue: versions, which settings are set, and all checks, with
    /// hosts, addresses and ids masked.
    #[arg(long, help_heading = "Doctor")]
    pub report: bool,
}

impl Options {
    /// The language of the words.
    #[must_use]
    pub fn language(&self) -> Language {
        self.lang.unwrap_or_else(Language::of_environment)
    }

    /// The categories that were asked for, in their own order; and that of the settings if they are wrong, because then
    /// nothing was looked at.
    ///
    /// # Errors
    /// When there is none of a name; the error has all names.
    pub fn chosen(&self, mut categories: Vec<Category>) -> Result<Vec<Category>, SettingError> {
        // Blanks stand behind commas in lists that people write.
        let only: Vec<&str> = self.only.iter().map(|name| name.trim()).collect();
        let is_unknown = |name: &&&str| !categories.iter().any(|category| category.name() == **name);
        if let Some(unknown) = only.iter().find(is_unknown) {
            let names: Vec<_> = categories.iter().map(Category::name).collect();
            let problem = format!("there is no category {unknown:?}; there are {}", names.join(", "));
            return Err(SettingError::new("--only", problem));
        }
        if !only.is_empty() {
            categories.retain(|category| {
                only.contains(&category.name()) || (category.name() == SETTINGS && category.has_failed())
            });
        }
        Ok(categories)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::check::Sheet;
    use crate::words::Words;

    #[test]
    fn those_that_were_asked_for_are_chosen_and_wrong_settings_with_them() {
        let chosen = |only: &[&str], are_good: bool| {
            let sheet = Sheet::default();
            match are_good {
                true => sheet.ok(Words::same("good")),
                false => sheet.failure(Words::same("good"), Words::same("wrong"), Words::same("correct it")),
            }
            let mut categories =
                [SETTINGS, "wechat", "store"].map(|name| Category::new(name, Words::same(name)));
            categories[0].found(&sheet);
            let options =
                Options { only: only.iter().map(|&name| name.to_owned()).collect(), ..Options::default() };
            let chosen = options.chosen(categories.into()).map_err(|error| error.to_string());
            chosen.map(|chosen| chosen.iter().map(Category::name).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&[], true).unwrap(), ["settings", "wechat", "store"]);
        assert_eq!(chosen(&["store", " wechat "], true).unwrap(), ["wechat", "store"]);
        assert_eq!(chosen(&["store"], false).unwrap(), ["settings", "store"]);
        let unknown = chosen(&["stores"], false).unwrap_err();
        assert!(unknown.contains("\"stores\"; there are settings, wechat, store"), "{unknown}");
    }
}
