//! What an operator may ask of a doctor.

use std::time::Duration;

use clap::Args;
use server::settings::SettingError;

use crate::category::Category;
use crate::words::Language;

/// The flags of every doctor.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
pub struct Options {
    /// Prints JSON: success, and categories with their checks (description, result, error, hint).
    #[arg(long, conflicts_with = "report", help_heading = "Doctor")]
    pub json: bool,

    /// Looks at these categories alone, with a comma between them. A wrong name gets the list of all.
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

    /// The categories that were asked for, in their own order.
    ///
    /// # Errors
    /// When there is none of a name; the error has all names.
    pub fn chosen(&self, mut categories: Vec<Category>) -> Result<Vec<Category>, SettingError> {
        let is_there = |name: &&String| !categories.iter().any(|category| category.name() == name.as_str());
        if let Some(unknown) = self.only.iter().find(is_there) {
            let names: Vec<_> = categories.iter().map(Category::name).collect();
            let problem = format!("there is no category {unknown:?}; there are {}", names.join(", "));
            return Err(SettingError::new("--only", problem));
        }
        if !self.only.is_empty() {
            categories.retain(|category| self.only.iter().any(|name| name == category.name()));
        }
        Ok(categories)
    }
}
