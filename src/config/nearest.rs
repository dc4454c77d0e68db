//! "Did you mean": finds the known name nearest to an unknown one.

/// Returns the name among `known` that `name` is probably a misspelling of, if any.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .into_iter()
        .filter_map(|candidate| {
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            let longest = name.chars().count().max(candidate.chars().count());
            // A third of the letters may be wrong, but never all letters of a short name.
            (distance <= (longest / 3).max(usize::from(longest > 1))).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns the suggestion for an unknown name, if a known one is near.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|candidate| format!("did you mean `{candidate}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_recognised_and_another_word_is_not() {
        let known = ["status", "number", "id"];
        assert_eq!(nearest("stauts", known), Some("status"));
        assert_eq!(nearest("Status", known), Some("status"));
        assert_eq!(nearest("numbers", known), Some("number"));
        assert_eq!(nearest("customer", known), None);
        assert_eq!(nearest("x", known), None);
        assert_eq!(did_you_mean("statsu", known).as_deref(), Some("did you mean `status`?"));
    }
}
