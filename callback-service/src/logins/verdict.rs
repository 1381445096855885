//! What a scan comes to: which notice follows, and what the phone hears. Pure functions; `attempt` does what they say.
//!
//! Three things become known one after another: what was remembered before this attempt ([`Before`]), what the gateway
//! said to the claim, and what it said to the login's end ([`Heard`]). For a site the provider is asked in between. The
//! phone hears "try again" only when no attempt of any process can have recorded an end.

use std::ops::ControlFlow;

use protocol::message::{Context, State, Status};
use protocol::{Answer, NoAnswer};

use super::confirmation::{Asking, Verdict};
use super::words::PhoneReply;
use crate::provider::NotGranted;
use crate::store::StoreError;

/// What earlier attempts at this login by this person may have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// There were none.
    Nothing,
    /// One was recorded, so long ago that the gateway has forgotten the login.
    LongAgo,
    /// One may have been recorded. The store knows of an attempt, or it cannot be read.
    Perhaps,
}

impl Before {
    /// The same once the claim's answer has told the login's state. An attempt has granted it which the store could not note.
    pub(super) fn and_now(self, state: Option<State>) -> Self {
        if state == Some(State::Granted) { Self::Perhaps } else { self }
    }

    /// The reply when this attempt has recorded nothing.
    pub(super) fn without_an_end(self) -> PhoneReply {
        match self {
            Self::Nothing => PhoneReply::TryAgain,
            Self::LongAgo | Self::Perhaps => PhoneReply::Look,
        }
    }

    /// The reply when the gateway does not know the login. It may have recorded an earlier attempt and forgotten it.
    fn without_a_login(self) -> PhoneReply {
        match self {
            Self::Nothing | Self::LongAgo => PhoneReply::Expired,
            Self::Perhaps => PhoneReply::Look,
        }
    }

    /// Whether to keep asking an unclear gateway for longer than the phone waits: a person who cannot be told to scan
    /// again watches the page, and may be logged in a little later.
    pub(super) fn keeps_asking(self) -> bool {
        self.without_an_end() == PhoneReply::Look
    }
}

/// What the gateway said to a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is recorded.
    Recorded,
    /// It is recorded, and the login names a site or a request.
    RecordedForSite,
    /// The login was denied.
    Denied,
    /// The login's time is over.
    Expired,
    /// The login is somebody else's.
    Taken,
    /// There is no such login.
    Unknown,
    /// The notice was not accepted, which is a fault of the settings or of ours. Nothing is recorded.
    Refused,
    /// There is no clear answer, and certainly nothing is recorded.
    NotRecorded,
    /// There is no clear answer, and it may be recorded.
    Unclear,
}

impl Heard {
    /// What a claim's answer says.
    pub(super) fn of_claim(answer: &Result<Answer, NoAnswer>) -> Self {
        Self::of(answer, |answer| match answer.status {
            status if status.is_recorded() => {
                let names_a_site = |context: &Context| context.site.is_some() || context.request.is_some();
                match answer.state {
                    Some(State::Expired) => Self::Expired,
                    _ if answer.context.as_deref().is_some_and(names_a_site) => Self::RecordedForSite,
                    Some(State::Denied) => Self::Denied,
                    _ => Self::Recorded,
                }
            }
            Status::Expired => Self::Expired,
            Status::Taken => Self::Taken,
            Status::Unknown => Self::Unknown,
            _ => Self::Refused,
        })
    }

    /// What a denial's answer says.
    pub(super) fn of_denial(answer: &Result<Answer, NoAnswer>) -> Self {
        Self::of(answer, |answer| match answer.status {
            status if status.is_recorded() => Self::Recorded,
            Status::Expired => Self::Expired,
            Status::Unknown => Self::Unknown,
            _ => Self::Refused,
        })
    }

    /// What the answer to a scan notice says.
    pub(super) fn of_end(answer: &Result<Answer, NoAnswer>) -> Self {
        Self::of(answer, |answer| match answer.status {
            status if status.is_recorded() => Self::Recorded,
            Status::Expired => Self::Expired,
            Status::Taken if answer.state == Some(State::Denied) => Self::Denied,
            Status::Taken => Self::Taken,
            Status::Unknown => Self::Unknown,
            _ => Self::Refused,
        })
    }

    fn of(answer: &Result<Answer, NoAnswer>, read: impl FnOnce(&Answer) -> Self) -> Self {
        match answer {
            Ok(answer) => read(answer),
            Err(NoAnswer::NotSent) => Self::NotRecorded,
            Err(NoAnswer::Unknown) => Self::Unclear,
        }
    }
}

/// What follows a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing more is asked; this is the reply.
    Tell(PhoneReply),
    /// The login is ended as granted.
    End,
    /// The provider is asked whether the login may go to the site or request that its page named.
    Grant,
}

/// What follows when the login does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// Nothing more is asked; this is the reply.
    Tell(PhoneReply),
    /// The login is denied, and this is the reply once that is recorded.
    Deny(PhoneReply),
}

/// What follows a claim.
pub(super) fn after_claim(before: Before, claim: Heard) -> Next {
    match claim {
        Heard::Recorded => Next::End,
        // Also one that was denied: a repeated push is refused again, denies it again and says the same.
        Heard::RecordedForSite => Next::Grant,
        Heard::Denied => Next::Tell(PhoneReply::Denied),
        Heard::Expired => Next::Tell(PhoneReply::Expired),
        Heard::Taken => Next::Tell(PhoneReply::Taken),
        Heard::Unknown if before == Before::Nothing => Next::Tell(PhoneReply::Unknown),
        Heard::Unknown => Next::Tell(before.without_a_login()),
        // A claim is no end. Whether it was recorded or not, nobody is logged in by it.
        Heard::Refused | Heard::NotRecorded | Heard::Unclear => Next::Tell(before.without_an_end()),
    }
}

/// What follows the provider's word. Without its word nothing can have been recorded by this attempt.
pub(super) fn after_word<T>(before: Before, granted: Result<T, NotGranted>) -> ControlFlow<Refused, T> {
    ControlFlow::Break(match granted {
        Ok(word) => return ControlFlow::Continue(word),
        Err(NotGranted::UnknownSite) => Refused::Deny(PhoneReply::UnknownSite),
        Err(NotGranted::Gone) => Refused::Deny(before.without_a_login()),
        Err(NotGranted::Nameless) => Refused::Deny(PhoneReply::Nameless),
        Err(NotGranted::Store(error)) => {
            tracing::error!("a login cannot be granted to a site: {error}");
            Refused::Tell(before.without_an_end())
        }
    })
}

/// What follows where the login is to be confirmed: it goes on after the right number alone.
pub(super) fn after_asking(before: Before, asking: Result<Asking, StoreError>) -> ControlFlow<Refused> {
    let deny = |reply| ControlFlow::Break(Refused::Deny(reply));
    let tell = |reply| ControlFlow::Break(Refused::Tell(reply));
    match asking {
        Ok(Asking::Decided(Verdict::Right)) => ControlFlow::Continue(()),
        Ok(Asking::Ask { question, .. }) => tell(PhoneReply::Question(question)),
        Ok(Asking::Decided(Verdict::NotMe)) => deny(PhoneReply::NotMe),
        Ok(Asking::Decided(Verdict::WrongNumbers)) => deny(PhoneReply::WrongNumbers),
        Ok(Asking::Decided(Verdict::Replaced)) => deny(PhoneReply::Denied),
        Ok(Asking::Decided(Verdict::Late)) => tell(PhoneReply::Late),
        Err(error) => {
            tracing::error!("a person cannot be asked to confirm a login: {error}");
            tell(before.without_an_end())
        }
    }
}

/// The reply after a denial, where `meant` is why the login is denied.
pub(super) fn after_denial(denial: Heard, meant: PhoneReply) -> PhoneReply {
    match denial {
        Heard::Recorded => meant,
        Heard::Expired | Heard::Unknown => PhoneReply::Expired,
        _ => PhoneReply::Look,
    }
}

/// The reply after the end was asked for; `None` when it is recorded, and then the login is counted.
///
/// `is_noted` says whether the store has noted the attempt. If not, a later process cannot know that an end may have been
/// recorded. It then tells people to look at the page, and so must this one.
pub(super) fn after_end(before: Before, is_noted: bool, end: Heard) -> Option<PhoneReply> {
    Some(match end {
        Heard::Recorded | Heard::RecordedForSite => return None,
        Heard::Denied => PhoneReply::Denied,
        Heard::Expired => PhoneReply::Expired,
        Heard::Taken => PhoneReply::Taken,
        Heard::Unknown => before.without_a_login(),
        Heard::Refused | Heard::NotRecorded if is_noted => before.without_an_end(),
        Heard::Refused | Heard::NotRecorded | Heard::Unclear => PhoneReply::Look,
    })
}

#[cfg(test)]
mod tests {
    use Before::{LongAgo, Nothing, Perhaps};
    use Heard::{NotRecorded, Recorded, RecordedForSite, Refused, Unclear};
    use PhoneReply::{Look, TryAgain, UnknownSite};

    use protocol::message::Code;

    use super::*;

    /// What the phone hears; `None` is a login that is counted.
    fn verdict(before: Before, claim: Heard, second: Heard, is_noted: bool) -> Option<PhoneReply> {
        match after_claim(before, claim) {
            Next::Tell(reply) => Some(reply),
            Next::Grant => Some(after_denial(second, UnknownSite)),
            Next::End => after_end(before, is_noted, second),
        }
    }

    /// One test a row: remembered, claim, then the denial or the end (where nothing more is asked, it is not looked
    /// at), whether the store noted the attempt, and the reply.
    macro_rules! table {
        ($($name:ident: $before:expr, $claim:expr, $second:expr, $noted:literal => $reply:expr;)+) => {
            $(#[test]
            fn $name() {
                assert_eq!(verdict($before, $claim, $second, $noted), $reply);
            })+
        };
    }

    table! {
        // The claim decides.
        a_taken_login_is_told_so: Nothing, Heard::Taken, Recorded, true => Some(PhoneReply::Taken);
        a_taken_login_is_told_so_whatever_was_before: Perhaps, Heard::Taken, Recorded, true => Some(PhoneReply::Taken);
        an_expired_login_is_told_so: Nothing, Heard::Expired, Recorded, true => Some(PhoneReply::Expired);
        an_expired_login_is_told_so_whatever_was_before: Perhaps, Heard::Expired, Recorded, true => Some(PhoneReply::Expired);
        a_denied_login_is_told_so: Nothing, Heard::Denied, Recorded, true => Some(PhoneReply::Denied);
        an_unknown_login_may_never_have_been: Nothing, Heard::Unknown, Recorded, true => Some(PhoneReply::Unknown);
        an_unknown_login_of_long_ago_has_expired: LongAgo, Heard::Unknown, Recorded, true => Some(PhoneReply::Expired);
        an_unknown_login_may_have_been_recorded_before: Perhaps, Heard::Unknown, Recorded, true => Some(Look);
        a_refused_claim_may_be_tried_again: Nothing, Refused, Recorded, true => Some(TryAgain);
        a_refused_claim_says_nothing_of_long_ago: LongAgo, Refused, Recorded, true => Some(Look);
        a_refused_claim_says_nothing_of_earlier_attempts: Perhaps, Refused, Recorded, true => Some(Look);
        a_claim_that_was_not_sent_may_be_tried_again: Nothing, NotRecorded, Recorded, true => Some(TryAgain);
        a_claim_that_was_not_sent_says_nothing_of_earlier_attempts: Perhaps, NotRecorded, Recorded, true => Some(Look);
        an_unclear_claim_is_no_end_and_may_be_tried_again: Nothing, Unclear, Recorded, true => Some(TryAgain);
        an_unclear_claim_says_nothing_of_earlier_attempts: Perhaps, Unclear, Recorded, true => Some(Look);

        // The denial decides, where the login is for a site.
        a_site_that_is_not_registered_is_denied: Nothing, RecordedForSite, Recorded, true => Some(UnknownSite);
        a_denial_that_comes_too_late_finds_it_expired: Nothing, RecordedForSite, Heard::Expired, true => Some(PhoneReply::Expired);
        a_denial_of_a_forgotten_login_finds_it_expired: Nothing, RecordedForSite, Heard::Unknown, true => Some(PhoneReply::Expired);
        a_refused_denial_is_not_told_as_one: Nothing, RecordedForSite, Refused, true => Some(Look);
        a_denial_that_was_not_sent_is_not_told_as_one: Nothing, RecordedForSite, NotRecorded, true => Some(Look);
        an_unclear_denial_is_not_told_as_one: Nothing, RecordedForSite, Unclear, true => Some(Look);

        // The end decides.
        a_recorded_end_is_counted: Nothing, Recorded, Recorded, true => None;
        a_recorded_end_is_counted_whatever_was_before: Perhaps, Recorded, Recorded, true => None;
        a_recorded_end_is_counted_without_a_note: Nothing, Recorded, Recorded, false => None;
        an_end_that_came_too_late_finds_it_expired: Nothing, Recorded, Heard::Expired, true => Some(PhoneReply::Expired);
        an_end_after_another_persons_is_told_so: Nothing, Recorded, Heard::Taken, true => Some(PhoneReply::Taken);
        an_end_after_a_denial_is_told_so: Nothing, Recorded, Heard::Denied, true => Some(PhoneReply::Denied);
        an_end_of_a_forgotten_login_finds_it_expired: Nothing, Recorded, Heard::Unknown, true => Some(PhoneReply::Expired);
        an_end_of_a_forgotten_login_may_have_been_recorded_before: Perhaps, Recorded, Heard::Unknown, true => Some(Look);
        a_refused_end_may_be_tried_again: Nothing, Recorded, Refused, true => Some(TryAgain);
        a_refused_end_that_was_not_noted_may_not: Nothing, Recorded, Refused, false => Some(Look);
        a_refused_end_says_nothing_of_long_ago: LongAgo, Recorded, Refused, true => Some(Look);
        a_refused_end_says_nothing_of_earlier_attempts: Perhaps, Recorded, Refused, true => Some(Look);
        an_end_that_was_not_sent_may_be_tried_again: Nothing, Recorded, NotRecorded, true => Some(TryAgain);
        an_end_that_was_not_sent_and_not_noted_may_not: Nothing, Recorded, NotRecorded, false => Some(Look);
        an_end_that_was_not_sent_says_nothing_of_earlier_attempts: Perhaps, Recorded, NotRecorded, true => Some(Look);
        an_unclear_end_may_be_recorded: Nothing, Recorded, Unclear, true => Some(Look);
        an_unclear_end_may_be_recorded_whatever_was_before: LongAgo, Recorded, Unclear, false => Some(Look);
    }

    #[test]
    fn without_the_providers_word_nobody_is_logged_in_at_a_site() {
        let store = || NotGranted::Store(StoreError("played".to_owned()));
        let deny = |reply| ControlFlow::Break(super::Refused::Deny(reply));
        let tell = |reply| ControlFlow::Break(super::Refused::Tell(reply));
        for (before, granted, expected) in [
            (Nothing, Ok(Code("c".to_owned())), ControlFlow::Continue(Code("c".to_owned()))),
            (Nothing, Err(NotGranted::UnknownSite), deny(UnknownSite)),
            (Nothing, Err(NotGranted::Nameless), deny(PhoneReply::Nameless)),
            (Nothing, Err(NotGranted::Gone), deny(PhoneReply::Expired)),
            (Perhaps, Err(NotGranted::Gone), deny(Look)),
            (Nothing, Err(store()), tell(TryAgain)),
            (Perhaps, Err(store()), tell(Look)),
        ] {
            assert_eq!(after_word(before, granted.clone()), expected, "{before:?} {granted:?}");
        }
    }

    #[test]
    fn a_login_that_was_granted_is_no_try_again_whatever_the_store_knows() {
        for before in [Nothing, LongAgo, Perhaps] {
            let after = before.and_now(Some(State::Granted));
            assert_eq!(verdict(after, Recorded, NotRecorded, true), Some(Look), "{before:?}");
            for state in [None, Some(State::Waiting), Some(State::Scanned), Some(State::Denied)] {
                assert_eq!(before.and_now(state), before);
            }
        }
    }

    #[test]
    fn only_a_person_who_may_scan_again_is_not_kept_waiting() {
        assert!(!Nothing.keeps_asking());
        assert!(LongAgo.keeps_asking() && Perhaps.keeps_asking());
    }

    #[test]
    fn an_answer_is_read_by_what_it_answers() {
        let with = |status, state| Ok(Answer { state: Some(state), ..Answer::new(status) });
        for (answer, claim, denial, end) in [
            (with(Status::Delivered, State::Scanned), Recorded, Recorded, Recorded),
            (with(Status::Stored, State::Granted), Recorded, Recorded, Recorded),
            (with(Status::Delivered, State::Expired), Heard::Expired, Recorded, Recorded),
            (with(Status::Delivered, State::Denied), Heard::Denied, Recorded, Recorded),
            (with(Status::Expired, State::Expired), Heard::Expired, Heard::Expired, Heard::Expired),
            (with(Status::Taken, State::Denied), Heard::Taken, Refused, Heard::Denied),
            (with(Status::Taken, State::Granted), Heard::Taken, Refused, Heard::Taken),
            (Ok(Answer::new(Status::Unknown)), Heard::Unknown, Heard::Unknown, Heard::Unknown),
            (Ok(Answer::new(Status::Forbidden)), Refused, Refused, Refused),
            (Ok(Answer::new(Status::Bad)), Refused, Refused, Refused),
            (Err(NoAnswer::NotSent), NotRecorded, NotRecorded, NotRecorded),
            (Err(NoAnswer::Unknown), Unclear, Unclear, Unclear),
        ] {
            let heard = (Heard::of_claim(&answer), Heard::of_denial(&answer), Heard::of_end(&answer));
            assert_eq!(heard, (claim, denial, end), "{answer:?}");
        }
        for (site, request) in [(Some("shop"), None), (None, Some("handle"))] {
            let context = Context {
                site: site.map(str::to_owned),
                request: request.map(str::to_owned),
                ..Context::default()
            };
            for (state, heard) in [
                (State::Scanned, RecordedForSite),
                (State::Denied, RecordedForSite),
                (State::Expired, Heard::Expired),
            ] {
                let context = Some(Box::new(context.clone()));
                let answer = Answer { context, state: Some(state), ..Answer::new(Status::Delivered) };
                assert_eq!(Heard::of_claim(&Ok(answer)), heard);
            }
        }
    }
}
