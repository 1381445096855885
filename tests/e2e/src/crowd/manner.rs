//! What people do when they are asked for the number of a page.

/// What a person does when they are asked to confirm. Where a login needs no confirmation, all of them are logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Types the number of the page.
    Confirms,
    /// Types a wrong number, and then the right one.
    Corrects,
    /// Types the number of the page, and afterwards says that it was not them, which comes too late.
    Regrets,
    /// Says that it was not them, and afterwards types the number, which comes too late.
    Denies,
    /// Types wrong numbers until nobody asks any more, and then the right one.
    Mistypes,
    /// Does nothing.
    Idles,
    /// Sends a picture of their page to a victim, who scans it, does not see the page, and does this.
    Forwards(Victim),
}

/// What somebody does who has scanned a picture of another person's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// Says that it was not them.
    Denies,
    /// Guesses, and has no luck.
    Guesses,
    /// Does nothing.
    Idles,
}

impl Manner {
    /// Whether the page is logged in in the end.
    #[must_use]
    pub fn logs_in(self) -> bool {
        matches!(self, Self::Confirms | Self::Corrects | Self::Regrets)
    }

    /// Whether nobody answers, so that the login stays open until its time is over.
    #[must_use]
    pub fn leaves_the_login_open(self) -> bool {
        matches!(self, Self::Idles | Self::Forwards(Victim::Idles))
    }
}
