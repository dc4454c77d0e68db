//! Table names as in SQL: `name`, `schema.name`, each part plain or in double quotes.

use std::borrow::Cow;
use std::fmt;

use super::TableName;

impl TableName {
    /// Parses the name of a table in exact case: unlike in SQL, plain names are not folded.
    ///
    /// # Errors
    /// What is wrong with the name, for the label at the caret.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (first, rest) = part(text)?;
        let Some(rest) = rest else {
            return Ok(Self {
                schema: None,
                name: first,
            });
        };
        match part(rest)? {
            (name, None) => Ok(Self {
                schema: Some(first),
                name,
            }),
            _ => Err("a table is named `name` or `schema.name`"),
        }
    }
}

/// Writes the name as [`TableName::parse`] reads it, in double quotes where necessary.
impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(formatter, "{}.", written(schema))?;
        }
        formatter.write_str(&written(&self.name))
    }
}

fn written(name: &str) -> Cow<'_, str> {
    match part(name) {
        Ok((whole, None)) if whole == name => name.into(),
        _ => format!("\"{}\"", name.replace('"', "\"\"")).into(),
    }
}

/// Returns the first part of a dotted name, and the text after its dot.
fn part(text: &str) -> Result<(String, Option<&str>), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (name, rest) = text.split_once('.').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let needs_quotes =
            |letter: char| letter.is_whitespace() || letter.is_control() || matches!(letter, '"' | '\'' | ';' | '(' | ')');
        return match name {
            "" => Err("a part of the name is empty"),
            name if name.contains(needs_quotes) => Err("a name with such characters must be in double quotes: '\"my table\"'"),
            name => Ok((name.to_owned(), rest)),
        };
    };
    let mut name = String::new();
    let mut letters = quoted.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' if letters.next_if(|(_, next)| *next == '"').is_some() => name.push('"'),
            '"' if name.is_empty() => return Err("a part of the name is empty"),
            '"' => {
                let rest = &quoted[at + 1..];
                return match rest.strip_prefix('.') {
                    Some(rest) => Ok((name, Some(rest))),
                    None if rest.is_empty() => Ok((name, None)),
                    None => Err("only a dot may follow a closing quote"),
                };
            }
            '\0' => return Err("a name cannot contain a null character"),
            letter => name.push(letter),
        }
    }
    Err("a double quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(Option<String>, String), &'static str> {
        TableName::parse(text).map(|table| (table.schema, table.name))
    }

    #[test]
    fn names_keep_their_case_and_lose_their_quotes() {
        assert_eq!(parsed("Orders"), Ok((None, "Orders".to_owned())));
        assert_eq!(parsed("legacy.orders"), Ok((Some("legacy".to_owned()), "orders".to_owned())));
        assert_eq!(
            parsed(r#""a.b"."c ""d""""#),
            Ok((Some("a.b".to_owned()), "c \"d\"".to_owned()))
        );
        assert_eq!(
            parsed(r#"legacy."My Orders""#),
            Ok((Some("legacy".to_owned()), "My Orders".to_owned()))
        );
    }

    #[test]
    fn broken_names_are_refused() {
        for text in [
            "", ".", "a.", ".a", "a.b.c", "a b", "\"a", "\"\"", "\"a\"b", "a\"b", "\"a\0\"", "a;b",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_written_name_can_be_read_again() {
        for (schema, name) in [
            (None, "orders"),
            (Some("a"), "b"),
            (Some("a.b"), "c \"d\""),
            (None, "My Table"),
            (None, "\""),
        ] {
            let table = TableName {
                schema: schema.map(str::to_owned),
                name: name.to_owned(),
            };
            assert_eq!(TableName::parse(&table.to_string()), Ok(table));
        }
        assert_eq!(
            TableName::parse("shop.\"my table\"").unwrap().to_string(),
            "shop.\"my table\""
        );
    }
}
