//! Models that the command line names.

use std::io::Write;

use crate::capture::watch::Watch;
use crate::config::nearest::did_you_mean;

/// Whether one of `names` is not the model of a watch, which is reported with the likely intended one.
pub(super) fn any_unknown(names: &[String], watches: &[Watch]) -> std::io::Result<bool> {
    let known = || watches.iter().map(|watch| watch.model.as_str());
    let Some(unknown) = names.iter().find(|name| known().all(|known| known != *name)) else {
        return Ok(false);
    };
    let hint = did_you_mean(unknown, known()).map_or_else(String::new, |hint| format!(": {hint}"));
    writeln!(anstream::stderr(), "error: `{unknown}` is not watched{hint}")?;
    Ok(true)
}
