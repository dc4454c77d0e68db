//! Figures that are measured once per round.

/// A figure of each round, in the rounds' order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// Adds the figure of one more round.
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The median; the mean of the two middle figures if their number is even.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            length if length % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    /// The ratio to another series, round by round: other activity of the machine in a round has affected both.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect())
    }

    /// Converts each figure to another unit.
    pub(crate) fn map(&self, convert: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().map(|figure| convert(*figure)).collect())
    }

    /// Whether any figure fulfils a condition.
    pub(crate) fn any(&self, is_so: impl Fn(f64) -> bool) -> bool {
        self.0.iter().copied().any(is_so)
    }

    /// The largest.
    pub(crate) fn most(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// The smallest.
    pub(crate) fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

impl From<f64> for Series {
    fn from(figure: f64) -> Self {
        Self(vec![figure])
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<T: IntoIterator<Item = f64>>(figures: T) -> Self {
        Self(figures.into_iter().collect())
    }
}

/// The median, with the smallest and the largest if there are several.
impl std::fmt::Display for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("–"),
            [figure] => f.write_str(&number(*figure)),
            _ => write!(
                f,
                "{} ({} to {})",
                number(self.median()),
                number(self.least()),
                number(self.most())
            ),
        }
    }
}

/// A figure with about three digits, and separators between thousands.
pub(crate) fn number(figure: f64) -> String {
    match figure.abs() {
        size if size >= 99.95 => grouped(&format!("{figure:.0}")),
        size if size >= 9.995 => format!("{figure:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The smallest of the sorted figures that a share of them does not exceed; `share` in percent.
pub(crate) fn percentile(sorted: &[f64], share: usize) -> f64 {
    let rank = (sorted.len() * share).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) const fn count(number: u64) -> f64 {
    number as f64
}
