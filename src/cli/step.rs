//! How the steps of `apply` and `remove` are reported.

use std::io::Write;

use crate::capture::{Progress, Step};

/// Prints the progress of a step: one line when it is done, and one on standard error for each time its table was busy.
pub(super) fn report(step: &Step, progress: Progress) {
    // A closed output does not stop what is under way.
    let _ = match progress {
        Progress::Waiting { attempts } => {
            writeln!(
                anstream::stderr(),
                "{}: the table is busy, tried {attempts} times so far",
                step.action
            )
        }
        Progress::Done(took) => writeln!(anstream::stdout(), "{} ({} ms)", step.action, took.as_millis()),
    };
}
