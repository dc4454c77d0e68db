//! What was measured, as Markdown.

use std::fmt::Write;

use crate::figures::{Series, number};
use crate::machine;
use crate::support::cache;

/// What the page begins with.
const HEAD: &str = "# Benchmarks

`make bench` measures all of this in one run on one machine and writes this page; `make bench QUICK=1` shows a short run, and
`ONLY=backlog,latency` some of it. Every contestant is a real one that the run starts itself. Contestants alternate, round by
round, so that what else the machine does meets all of them; a ratio is taken within a round. Figures are medians, with the smallest
and the largest round in brackets. PostgreSQL, Centrifugo, Instant, writers and listeners share the machine's cores.

";

/// One measurement.
pub(crate) struct Section {
    /// Its name in `ONLY=`, and of the file of its reasons.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What was done.
    pub(crate) how: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) goals: Vec<Goal>,
}

/// A table of figures.
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Self {
        let head = head.into_iter().map(Into::into).collect();
        Self { head, rows: Vec::new() }
    }

    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        assert_eq!(cells.len(), self.head.len(), "{cells:?}");
        self.rows.push(cells);
    }

    fn write(&self, out: &mut String) {
        line(out, &self.head);
        line(out, &vec!["---".to_owned(); self.head.len()]);
        for row in &self.rows {
            line(out, row);
        }
        out.push('\n');
    }
}

/// What a figure should be.
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// A goal and what was found.
pub(crate) struct Goal {
    what: String,
    bound: Bound,
    unit: &'static str,
    found: Series,
}

impl Goal {
    /// `unit` follows the figures, with the blank before it.
    pub(crate) fn new(what: impl Into<String>, bound: Bound, unit: &'static str, found: Series) -> Self {
        Self {
            what: what.into(),
            bound,
            unit,
            found,
        }
    }

    fn cells(&self) -> [String; 4] {
        let median = self.found.median();
        // How far beyond the bound, as a share of it.
        let (wanted, is_reached, share) = match self.bound {
            Bound::AtLeast(bound) => (format!("≥ {}", number(bound)), median >= bound, median / bound - 1.0),
            Bound::AtMost(bound) => (format!("≤ {}", number(bound)), median <= bound, 1.0 - median / bound),
        };
        let verdict = match (is_reached, share.is_finite()) {
            (true, true) => format!("reached, {:.0} % to spare", share * 100.0),
            (true, false) => "reached".to_owned(),
            (false, true) => format!("**missed** by {:.0} %", -share * 100.0),
            (false, false) => "**missed**".to_owned(),
        };
        [
            self.what.clone(),
            format!("{wanted}{}", self.unit),
            format!("{}{}", self.found, self.unit),
            verdict,
        ]
    }
}

/// The whole page.
pub(crate) fn page(sections: &[Section]) -> String {
    let mut out = HEAD.to_owned();
    machine::table().write(&mut out);
    out.push_str("## The goals\n\n");
    goals(sections.iter().flat_map(|section| &section.goals)).write(&mut out);
    for section in sections {
        let _ = write!(out, "## {}\n\n{}\n\n", section.title, section.how);
        for table in &section.tables {
            table.write(&mut out);
        }
        if let Some(reasons) = reasons(section.name) {
            let _ = write!(out, "{}\n\n", reasons.trim());
        }
    }
    format!("{}\n", out.trim_end())
}

/// One measurement while the others still run.
pub(crate) fn section(section: &Section) -> String {
    let mut out = format!("## {}\n\n", section.title);
    for table in &section.tables {
        table.write(&mut out);
    }
    goals(&section.goals).write(&mut out);
    out
}

fn goals<'a>(goals: impl IntoIterator<Item = &'a Goal>) -> Table {
    let mut table = Table::new(["what", "goal", "measured", ""]);
    for goal in goals {
        table.row(goal.cells());
    }
    table
}

/// What is known of the figures of a measurement, written by hand.
fn reasons(name: &str) -> Option<String> {
    std::fs::read_to_string(cache::manifest(&format!("benches/instant/reasons/{name}.md"))).ok()
}

fn line(out: &mut String, cells: &[String]) {
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}
