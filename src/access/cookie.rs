//! The `Cookie` header, parsed as in Django.

/// The longest accepted value: browsers keep no longer cookie.
const LONGEST: usize = 8192;

/// Returns the value of the cookie `name`. As in Django's `parse_cookie`, the last of several counts, and a quoted value is unquoted.
#[must_use]
pub fn value(headers: &[&str], name: &str) -> Option<String> {
    let pairs = headers.iter().flat_map(|header| header.split(';'));
    let mut values = pairs.filter_map(|pair| pair.split_once('=').filter(|(key, _)| key.trim() == name));
    let value = values.next_back()?.1.trim();
    let value = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    (1..=LONGEST).contains(&value.len()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cookie_of_the_name_counts() {
        assert_eq!(value(&["a=1; sessionid=x; b=2"], "sessionid").as_deref(), Some("x"));
        assert_eq!(value(&["sessionid=x; sessionid= \"y\" "], "sessionid").as_deref(), Some("y"));
        assert_eq!(value(&["sessionid=x", "sessionid=y"], "sessionid").as_deref(), Some("y"));
        assert_eq!(value(&["sessionid=a=b:c"], "sessionid").as_deref(), Some("a=b:c"));
    }

    #[test]
    fn another_name_an_empty_value_or_a_huge_one_is_no_cookie() {
        for header in ["", "xsessionid=a", "sessionidx=a", "sessionid", "sessionid=", "SESSIONID=a"] {
            assert_eq!(value(&[header], "sessionid"), None, "{header}");
        }
        assert_eq!(value(&[&format!("sessionid={}", "a".repeat(9000))], "sessionid"), None);
    }
}
