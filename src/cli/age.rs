//! Ages in a short, human-readable form, and durations given on the command line.

use std::time::Duration;

use jiff::Timestamp;

use crate::config::duration;

/// `12s`, `5m`, `3h`, `9d`: the largest unit that is at least 1, or two where the second matters.
pub(super) fn since(moment: Timestamp) -> String {
    of(Duration::try_from(Timestamp::now().duration_since(moment)).unwrap_or_default())
}

/// The same for a duration.
pub(super) fn of(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// A duration on the command line.
pub(super) fn parse(text: &str) -> Result<Duration, &'static str> {
    duration::parse(text).ok_or("a duration is a number and a unit (s, m, h, d, w), as in 30m or 1h30m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_shows_its_two_largest_units() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (61, "1m01s"), (3_660, "1h01m"), (90_000, "1d01h")] {
            assert_eq!(of(Duration::from_secs(seconds)), text);
        }
    }
}
