//! How a letter is spelt where the database's encoding has not all of its characters, or where it holds a NUL, which no encoding has:
//! in ASCII, of which every encoding has the rest.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use tokio_postgres::error::SqlState;

use super::dead_letter::DeadLetter;
use super::letters::Refusal;
use super::session::Error;

/// What stands for a character in text. JSON has escapes instead, which say the same.
const STAND_IN: char = '?';

impl Error {
    /// Whether the database's encoding has no such character.
    pub(super) fn is_unspeakable(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        matches!(
            error.code(),
            Some(&SqlState::UNTRANSLATABLE_CHARACTER | &SqlState::CHARACTER_NOT_IN_REPERTOIRE)
        )
    }
}

impl DeadLetter {
    /// The letter in ASCII, as its key always is. The source stays as it is, or its change would be mapped no more: it comes from the outbox,
    /// which is in the same encoding.
    pub(super) fn in_ascii(&self) -> Self {
        Self {
            key: self.key.clone(),
            source: self.source.clone(),
            model: text(&self.model),
            channel: self.channel.as_deref().map(text),
            event: self.event.as_deref().map(json),
            old: self.old.as_deref().map(json),
            new: self.new.as_deref().map(json),
            reason: text(&self.reason),
            ..*self
        }
    }

    /// The channel that the letter is for. Its event says it where the one that is stored is spelt in ASCII.
    #[must_use]
    pub fn address(&self) -> Option<Cow<'_, str>> {
        let stored = self.channel.as_deref()?;
        Some(address(stored, self.event.as_deref()))
    }
}

impl Refusal {
    /// The refusal in ASCII.
    pub(super) fn in_ascii(&self) -> Self {
        Self {
            reason: text(&self.reason),
            ..*self
        }
    }
}

/// What an event says of its channel.
#[derive(Deserialize)]
struct Addressed<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
}

fn address<'a>(stored: &'a str, event: Option<&'a str>) -> Cow<'a, str> {
    let event = event.filter(|_| stored.contains(STAND_IN));
    match event.map(serde_json::from_str) {
        Some(Ok(Addressed { channel })) if text(&channel) == stored => channel,
        _ => stored.into(),
    }
}

/// Text in ASCII.
fn text(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii() && character != '\0';
    text.chars()
        .map(|character| if is_plain(character) { character } else { STAND_IN })
        .collect()
}

/// JSON in ASCII: what is beyond that stands in strings alone, where it may be escaped, in two halves beyond U+FFFF.
fn json(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            for half in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(ascii, "\\u{half:04x}");
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn json_in_ascii_says_the_same() {
        let event = "{\"a\":\"caf\u{e9} \u{20ac} \u{1f980} \\u0000 \\\\\"}";
        let ascii = json(event);
        assert_eq!(ascii, r#"{"a":"caf\u00e9 \u20ac \ud83e\udd80 \u0000 \\"}"#);
        let [before, after] = [event, &ascii].map(|text| serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(before, after);
    }

    #[test]
    fn a_letter_in_ascii_names_its_source_and_its_key_as_before_so_that_its_change_can_be_mapped_again() {
        let letter = DeadLetter {
            key: "1-1-1".to_owned(),
            change_id: 1,
            change_at: jiff::Timestamp::UNIX_EPOCH,
            source: "public.caf\u{e9}".to_owned(),
            operation: b'U'.cast_signed(),
            model: "shop.Caf\u{e9}".to_owned(),
            rule: 1,
            channel: Some("room:\u{20ac}".to_owned()),
            event: None,
            old: None,
            new: Some("{\"a\":\"\u{20ac}\"}".to_owned()),
            reason: "no \u{20ac}".to_owned(),
            code: None,
            attempts: 1,
        };
        let ascii = letter.in_ascii();
        assert_eq!((&ascii.key, &ascii.source), (&letter.key, &letter.source));
        assert_eq!((&*ascii.model, ascii.channel.as_deref()), ("shop.Caf?", Some("room:?")));
        assert_eq!((ascii.new.as_deref(), &*ascii.reason), (Some(r#"{"a":"\u20ac"}"#), "no ?"));
    }

    #[test]
    fn a_letter_is_addressed_as_its_event_says_where_its_channel_is_spelt_in_ascii() {
        let event = Some(r#"{"channel":"room:\u20ac"}"#);
        assert_eq!(address("room:?", event), "room:\u{20ac}");
        assert_eq!(address("room:??", event), "room:??", "somebody put another");
        assert_eq!(address("public", event), "public", "somebody put another");
        assert_eq!(address("room:?", Some("[]")), "room:?");
        assert_eq!(address("room:?", None), "room:?");
    }
}
