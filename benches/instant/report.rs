//! The measurements, as Markdown.

use std::fmt::Write;

use crate::figures::{Series, number};
use crate::machine;
use crate::support::cache;

/// The head of the page.
const HEAD: &str = "# Benchmarks

`make bench` measures all of this in one run on one machine and writes this page; `make bench QUICK=1` shows a short run, and
`ONLY=backlog,latency` a part of it. Every contestant is a real one that the run starts itself. Contestants alternate, round by
round, so that other activity of the machine affects all of them; a ratio is taken within a round. Figures are medians, with the
smallest and the largest round in brackets. The goals are for Instant with its default settings, with Centrifugo's HTTP API, and for
its hub; the figures for gRPC are in the tables. Capture, mapping, settling, purging and metrics are active in all of them.
PostgreSQL, Centrifugo, Instant, writers and subscribers share the machine's cores.

";

/// One measurement.
pub(crate) struct Section {
    /// Its name in `ONLY=`, and the name of the file with its explanation.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// How it was measured.
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

/// The bound of a goal.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// At most, for a difference around zero: how much of the bound is left would be meaningless.
    Within(f64),
}

impl Bound {
    /// Whether a figure is on the right side of the bound.
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) | Self::Within(bound) => figure <= bound,
        }
    }

    /// How far inside the bound a figure is, as a share of it.
    fn spare(self, figure: f64) -> Option<f64> {
        let share = match self {
            Self::AtLeast(bound) => figure / bound - 1.0,
            Self::AtMost(bound) => 1.0 - figure / bound,
            Self::Within(_) => return None,
        };
        share.is_finite().then_some(share * 100.0)
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {}", number(*bound)),
            Self::AtMost(bound) | Self::Within(bound) => write!(f, "≤ {}", number(*bound)),
        }
    }
}

/// A goal and its measured figures.
pub(crate) struct Goal {
    what: String,
    bound: Bound,
    unit: &'static str,
    found: Series,
}

impl Goal {
    /// `unit` follows the figures, including the space before it.
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
        let is_reached = self.bound.holds(median);
        let verdict = match (is_reached, self.bound.spare(median)) {
            (true, Some(share)) => format!("reached, {} % to spare", whole(share)),
            (true, None) => "reached".to_owned(),
            (false, Some(share)) => format!("**missed** by {} %", whole(-share)),
            (false, None) => "**missed**".to_owned(),
        };
        // The noise is larger than the distance: another run may show the opposite.
        let is_close = self.found.any(|figure| self.bound.holds(figure) != is_reached);
        let verdict = format!("{verdict}{}", if is_close { ", not in every round" } else { "" });
        [
            self.what.clone(),
            format!("{}{}", self.bound, self.unit),
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

/// One measurement, printed while the others still run.
pub(crate) fn section(section: &Section) -> String {
    let mut out = format!("## {}\n\n", section.title);
    for table in &section.tables {
        table.write(&mut out);
    }
    goals(&section.goals).write(&mut out);
    out
}

/// A share without needless digits.
fn whole(share: f64) -> String {
    if share < 1.0 {
        format!("{share:.1}")
    } else {
        format!("{share:.0}")
    }
}

fn goals<'a>(goals: impl IntoIterator<Item = &'a Goal>) -> Table {
    let mut table = Table::new(["what", "goal", "measured", ""]);
    for goal in goals {
        table.row(goal.cells());
    }
    table
}

/// The explanation of a measurement's figures, written by hand.
fn reasons(name: &str) -> Option<String> {
    std::fs::read_to_string(cache::manifest(&format!("benches/instant/reasons/{name}.md"))).ok()
}

fn line(out: &mut String, cells: &[String]) {
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}
