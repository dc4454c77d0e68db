//! `docs/events.md`: its examples are what its rules publish.

use crate::spine::Stack;
use crate::support::client::Subscriber;
use crate::support::document::{Snippet, snippets};
use crate::support::wait::SOON;

const PAGE: &str = "docs/events.md";

/// A page's event in one line, as sent.
fn one_line(example: &str) -> String {
    example.trim_end().replace("\n ", "")
}

/// The published event, with values that no page can predict as this page writes them.
fn as_the_page_has_it(published: &str) -> String {
    let mut text = published.to_owned();
    for (member, shown) in [("\"id\":\"", None), ("\"at\":\"", Some("2026-11-24T12:00:00.000Z"))] {
        let start = text.find(member).unwrap() + member.len();
        let end = start + text[start..].find('"').unwrap();
        let value = &text[start..end];
        let shown = match shown {
            Some(at) => {
                assert_eq!(value.len(), at.len(), "{published}");
                at.to_owned()
            }
            None if value.starts_with("lost-") => "lost-…".to_owned(),
            // What tells the kind of event from others of its change.
            None => match value.rsplit_once('-') {
                Some((_, kind)) if kind.starts_with(['l', 'x']) => format!("…-{kind}"),
                _ => "…".to_owned(),
            },
        };
        text.replace_range(start..end, &shown);
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn each_example_of_an_event_is_what_is_published() {
    let mut rest = snippets(PAGE).into_iter();
    let rules = rest.next().unwrap();
    assert_eq!(rules.language, "toml");
    let mut stack = Stack::start(18, &rules.text).await;
    let mut personal = Subscriber::user(&stack.centrifugo, "42", &["#42"]).await;
    let mut count = 0;
    while let Some(Snippet { text, language, line }) = rest.next() {
        assert_eq!(language, "python", "{PAGE}:{line}");
        stack.django.run(&text).await;
        let example = rest.next().unwrap();
        assert_eq!(example.language, "json", "{PAGE}:{}", example.line);
        let example = one_line(&example.text);
        let heard = if example.contains("\"channel\":\"#42\"") {
            // The rule for everyone tells of the same change.
            assert!(stack.public.next(SOON).await.text().contains("Order edited"));
            personal.next(SOON).await
        } else {
            stack.public.next(SOON).await
        };
        assert_eq!(as_the_page_has_it(heard.text()), example, "{PAGE}:{line}");
        count += 1;
    }
    assert_eq!(count, 10);
}
