//! Dead letters in ASCII: the fallback for a letter with characters that the database's encoding does not have, or with a NUL, which no
//! encoding has. Every encoding has the rest of ASCII.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use tokio_postgres::error::SqlState;

use super::dead_letter::DeadLetter;
use super::letters::Refusal;
use super::session::Error;

/// The substitute for a character in text. JSON has escapes instead, which lose nothing.
const SUBSTITUTE: char = '?';

impl Error {
    /// Whether the database's encoding does not have a character.
    pub(super) fn is_unencodable(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        matches!(
            error.code(),
            Some(&SqlState::UNTRANSLATABLE_CHARACTER | &SqlState::CHARACTER_NOT_IN_REPERTOIRE)
        )
    }
}

impl DeadLetter {
    /// The letter in ASCII, as its key always is. The source stays as it is, or its change could no longer be mapped: it comes from the
    /// outbox, which has the same encoding.
    pub(super) fn in_ascii(&self) -> Self {
        Self {
            key: self.key.clone(),
            source: self.source.clone(),
            model: replace_non_ascii(&self.model),
            channel: self.channel.as_deref().map(replace_non_ascii),
            event: self.event.as_deref().map(escape_non_ascii),
            old: self.old.as_deref().map(escape_non_ascii),
            new: self.new.as_deref().map(escape_non_ascii),
            reason: replace_non_ascii(&self.reason),
            ..*self
        }
    }

    /// The channel that the letter is for; taken from its event if the stored one was reduced to ASCII.
    #[must_use]
    pub fn original_channel(&self) -> Option<Cow<'_, str>> {
        let stored = self.channel.as_deref()?;
        Some(original_channel(stored, self.event.as_deref()))
    }
}

impl Refusal {
    /// The refusal in ASCII.
    pub(super) fn in_ascii(&self) -> Self {
        Self {
            reason: replace_non_ascii(&self.reason),
            ..*self
        }
    }
}

/// The channel in an event.
#[derive(Deserialize)]
struct EventChannel<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
}

fn original_channel<'a>(stored: &'a str, event: Option<&'a str>) -> Cow<'a, str> {
    let event = event.filter(|_| stored.contains(SUBSTITUTE));
    match event.map(serde_json::from_str) {
        Some(Ok(EventChannel { channel })) if replace_non_ascii(&channel) == stored => channel,
        _ => stored.into(),
    }
}

/// Text with [`SUBSTITUTE`] in place of every NUL and character beyond ASCII.
fn replace_non_ascii(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii() && character != '\0';
    text.chars()
        .map(|character| if is_plain(character) { character } else { SUBSTITUTE })
        .collect()
}

/// JSON in ASCII: other characters occur only in strings, where they can be escaped, as two surrogates beyond U+FFFF.
fn escape_non_ascii(json: &str) -> String {
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
    fn json_in_ascii_has_the_same_value() {
        let event = "{\"a\":\"caf\u{e9} \u{20ac} \u{1f980} \\u0000 \\\\\"}";
        let ascii = escape_non_ascii(event);
        assert_eq!(ascii, r#"{"a":"caf\u00e9 \u20ac \ud83e\udd80 \u0000 \\"}"#);
        let [before, after] = [event, &ascii].map(|text| serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(before, after);
    }

    #[test]
    fn a_letter_in_ascii_keeps_its_source_and_its_key_so_that_its_change_can_be_mapped_again() {
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
    fn the_channel_of_a_letter_in_ascii_is_taken_from_its_event() {
        let event = Some(r#"{"channel":"room:\u20ac"}"#);
        assert_eq!(original_channel("room:?", event), "room:\u{20ac}");
        assert_eq!(original_channel("room:??", event), "room:??", "somebody stored another");
        assert_eq!(original_channel("public", event), "public", "somebody stored another");
        assert_eq!(original_channel("room:?", Some("[]")), "room:?");
        assert_eq!(original_channel("room:?", None), "room:?");
    }
}
