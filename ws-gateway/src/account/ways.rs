//! The ways in which people may log in with an account, and what they mean for a page: pure rules.

/// One way to claim a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A QR code is scanned.
    Scan,
    /// A short code is typed in the chat with the official account.
    Typed,
    /// A page is opened in WeChat.
    Wechat,
}

impl Way {
    /// The way of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "scan" => Some(Self::Scan),
            "typed" => Some(Self::Typed),
            "wechat" => Some(Self::Wechat),
            _ => None,
        }
    }
}

/// When a page shows a code to type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Also beside a QR code.
    Always,
    /// Where there is no QR code.
    WithoutQrCode,
    /// The operator has named other ways.
    Never,
}

/// The ways of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ways {
    /// Pages show a QR code.
    pub scan: bool,
    /// That is the web code and no other.
    pub web_first: bool,
    /// Pages show a code to type.
    pub typed: Typed,
    /// Phones may open a login's own page in WeChat.
    pub wechat: bool,
}

/// The kind of QR code that a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The official account's, which WeChat makes.
    Account,
    /// A page's of callback-service.
    Web,
    /// None: there is a code to type alone.
    None,
}

impl Kind {
    /// Its name in the metrics.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Web => "web",
            Self::None => "typed",
        }
    }
}

impl Ways {
    /// The QR code that a page is shown first.
    #[must_use]
    pub(crate) fn first(self) -> Kind {
        match self {
            Self { scan: true, web_first: false, .. } => Kind::Account,
            Self { scan: true, web_first: true, .. } | Self { wechat: true, .. } => Kind::Web,
            Self { scan: false, wechat: false, .. } => Kind::None,
        }
    }

    /// What a page is shown while WeChat gives no code, if the ways leave anything.
    #[must_use]
    pub(crate) fn in_its_place(self) -> Option<Kind> {
        match self {
            Self { wechat: true, .. } => Some(Kind::Web),
            Self { typed: Typed::Always | Typed::WithoutQrCode, .. } => Some(Kind::None),
            Self { typed: Typed::Never, .. } => None,
        }
    }

    /// Whether a page with such a QR code also shows a code to type.
    #[must_use]
    pub(crate) fn has_typed(self, beside: Kind) -> bool {
        match self.typed {
            Typed::Always => true,
            Typed::WithoutQrCode => beside == Kind::None,
            Typed::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCAN: Ways = Ways { scan: true, web_first: false, typed: Typed::Never, wechat: false };

    #[test]
    fn a_page_shows_what_the_ways_say() {
        let typed = Ways { scan: false, typed: Typed::Always, ..SCAN };
        for (ways, first, in_its_place) in [
            (SCAN, Kind::Account, None),
            (Ways { typed: Typed::WithoutQrCode, ..SCAN }, Kind::Account, Some(Kind::None)),
            (Ways { typed: Typed::Always, ..SCAN }, Kind::Account, Some(Kind::None)),
            (Ways { typed: Typed::Always, wechat: true, ..SCAN }, Kind::Account, Some(Kind::Web)),
            (Ways { web_first: true, wechat: true, ..SCAN }, Kind::Web, Some(Kind::Web)),
            (typed, Kind::None, Some(Kind::None)),
            (Ways { wechat: true, ..typed }, Kind::Web, Some(Kind::Web)),
        ] {
            assert_eq!((ways.first(), ways.in_its_place()), (first, in_its_place), "{ways:?}");
        }
    }

    #[test]
    fn a_page_without_a_qr_code_has_a_code_to_type() {
        for kind in [Kind::Account, Kind::Web, Kind::None] {
            let has = |typed| Ways { typed, ..SCAN }.has_typed(kind);
            let expected = [true, kind == Kind::None, false];
            assert_eq!([Typed::Always, Typed::WithoutQrCode, Typed::Never].map(has), expected, "{kind:?}");
        }
    }
}
