//! How people come to a login, and what they do when they are asked to confirm it.

use crate::history::Way;

/// Who comes to the login of a page, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Its person, by one way.
    One(Way),
    /// Its person, by two ways at the same moment.
    Both(Way, Way),
    /// Its person by the first, and at the same moment somebody who looks at the same page by the second. Both want to be
    /// logged in.
    Race(Way, Way),
}

impl Path {
    /// The way of the page's own person, or the first of them.
    #[must_use]
    pub fn first(self) -> Way {
        let (Self::One(way) | Self::Both(way, _) | Self::Race(way, _)) = self;
        way
    }
}

/// What a person does when they are asked to confirm. Where a login needs no confirmation, all of them are logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Gives the answer that their way asks for.
    Confirms,
    /// Gives a wrong number, and then the right one.
    Corrects,
    /// Confirms, and afterwards says that it was not them, which comes too late.
    Regrets,
    /// Says that it was not them, and afterwards confirms, which comes too late.
    Denies,
    /// Gives wrong numbers until nobody asks any more, and then the right one.
    Mistypes,
    /// Does nothing.
    Idles,
    /// Sends a picture of their page, its code or its address to a victim, who comes by it, does not see the page, and does
    /// this.
    Forwards(Victim),
}

/// What somebody does who has come to the login of another person's page.
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
    /// Whether the page of a person who has come this way is logged in in the end.
    #[must_use]
    pub fn logs_in(self, way: Way) -> bool {
        match self {
            Self::Confirms | Self::Regrets => true,
            // Who chooses among three numbers has one choice.
            Self::Corrects => way != Way::Wechat,
            Self::Denies | Self::Mistypes | Self::Idles | Self::Forwards(_) => false,
        }
    }

    /// Whether nobody answers, so that the login stays open until its time is over.
    #[must_use]
    pub fn leaves_the_login_open(self) -> bool {
        matches!(self, Self::Idles | Self::Forwards(Victim::Idles))
    }
}
