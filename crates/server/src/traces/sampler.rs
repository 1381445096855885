//! Which traces are exported (`OTEL_TRACES_SAMPLER`). It is decided by the id alone, so every process of a trace decides
//! the same.

/// A sampler of OpenTelemetry's. Where no span comes from outside, one based on its parent is its root's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sampler(
    /// The share of traces that are exported, from 0 to 1.
    f64,
);

/// What `OTEL_TRACES_SAMPLER` says that is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// No such sampler.
    Name,
    /// No share between 0 and 1.
    Share,
}

impl Sampler {
    pub(super) const ALL: Self = Self(1.0);

    /// The sampler of this name, with its argument.
    pub(super) fn read(name: &str, argument: Option<&str>) -> Result<Self, Unread> {
        match name.strip_prefix("parentbased_").unwrap_or(name) {
            "always_on" => Ok(Self::ALL),
            "always_off" => Ok(Self(0.0)),
            "traceidratio" => {
                let share =
                    argument.map_or(Ok(1.0), |text| text.trim().parse().map_err(|_| Unread::Share))?;
                if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(Unread::Share) }
            }
            _ => Err(Unread::Name),
        }
    }

    /// Whether the trace of this id is exported: by its last eight bytes, as the SDKs of OpenTelemetry do it.
    pub(super) fn takes(self, trace: [u8; 16]) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace;
        let place = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
        #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
        let place = place as f64 / (1_u64 << 63) as f64;
        self.0 >= 1.0 || place < self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_share_of_all_ids_is_taken() {
        let ids = || (0..1000_u64).map(|n| (u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).to_be_bytes());
        let taken = |name, argument| {
            let sampler = Sampler::read(name, argument).unwrap();
            ids().filter(|id| sampler.takes(*id)).count()
        };
        assert_eq!((taken("always_on", None), taken("always_off", None)), (1000, 0));
        assert_eq!(taken("traceidratio", None), 1000);
        for name in ["traceidratio", "parentbased_traceidratio"] {
            assert!((230..270).contains(&taken(name, Some("0.25"))), "{}", taken(name, Some("0.25")));
        }
        assert!(Sampler::ALL.takes([0xff; 16]) && !Sampler(0.999).takes([0xff; 16]));
    }

    #[test]
    fn what_is_not_known_is_told_apart_from_what_is_wrong() {
        assert_eq!(Sampler::read("xray", None), Err(Unread::Name));
        for wrong in ["-0.1", "1.5", "half", "NaN"] {
            assert_eq!(Sampler::read("traceidratio", Some(wrong)), Err(Unread::Share), "{wrong}");
        }
    }
}
