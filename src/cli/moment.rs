//! A moment on the command line: an age, or a time.

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::config::duration;

/// `90s`, `24h` (that long ago), `2026-11-24T12:00:00Z`, `2026-11-24 12:00` (in the local time zone).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Timestamp);

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORMS: &str =
            "a moment is an age such as 90s, 24h or 7d, or a time such as 2026-11-24T12:00:00Z or '2026-11-24 12:00'";
        if let Some(age) = duration::parse(text) {
            let age = SignedDuration::try_from(age).map_err(|_| FORMS)?;
            return Timestamp::now().checked_sub(age).map(Self).map_err(|_| FORMS);
        }
        if let Ok(time) = text.parse() {
            return Ok(Self(time));
        }
        let local: DateTime = text.parse().map_err(|_| FORMS)?;
        let time = local.to_zoned(TimeZone::system()).map_err(|_| FORMS)?;
        Ok(Self(time.timestamp()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_age_or_a_time() {
        let hour_ago: Moment = "1h".parse().unwrap();
        let age = Timestamp::now().duration_since(hour_ago.0).as_secs();
        assert!((3_600..3_660).contains(&age), "{age}");
        let time = "2026-11-24T12:00:00Z".parse::<Moment>().unwrap();
        assert_eq!(time.0.to_string(), "2026-11-24T12:00:00Z");
        assert!("2026-11-24 12:00".parse::<Moment>().is_ok());
        for text in ["", "yesterday", "12:00", "99999999999999w"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
