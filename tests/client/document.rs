//! `docs/client.md`: every snippet that a browser can run is run.

use instant::config;

use super::page::{Pages, is_clean};
use super::rows::WATCH;
use crate::support::document::in_language;
use crate::support::site::Site;
use crate::support::wait::SOON;

const DOCUMENT: &str = "docs/client.md";

/// The one snippet of a page that contains this text.
pub(super) fn snippet(text: &str) -> String {
    let mut found = in_language(DOCUMENT, "html");
    found.retain(|snippet| snippet.contains(text));
    assert_eq!(found.len(), 1, "the snippets that say {text}");
    found.remove(0)
}

/// Opens a page with a snippet in it, and saves orders: each must appear there or on the console, without any error.
/// The first ones may be part of what the page loads when it opens; the last can only arrive as an event.
async fn shows_saved_rows(site: &Site, pages: &Pages, session: &str, body: &str) {
    site.python("Order.objects.all().delete()").await;
    let page = pages.open(site, session, body).await;
    for number in ["A-15", "A-16", "A-17"] {
        site.python(&format!(
            "o = Order.objects.create(number='{number}'); o.status = 'paid'; o.save()"
        ))
        .await;
        page.line(number, SOON).await;
    }
    is_clean(&page);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_the_document_shows_a_row_that_is_saved_in_django() {
    for site in Site::both(WATCH).await {
        let Some(pages) = Pages::of(&site).await else { return };
        let session = site.new_user("a").await;
        let mut count = 0;
        for snippet in in_language(DOCUMENT, "html") {
            if snippet.contains("data-url=") == site.has_proxies() {
                shows_saved_rows(&site, &pages, &session, &snippet).await;
                count += 1;
            }
        }
        assert_eq!(count, if site.has_proxies() { 1 } else { 6 }, "pages of the document");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_script_of_the_document_runs_and_hears_a_saved_row() {
    let site = Site::on_hub(18, WATCH).await;
    let Some(pages) = Pages::of(&site).await else { return };
    let session = site.new_user("a").await;
    let scripts = in_language(DOCUMENT, "js");
    assert_eq!(scripts.len(), 3);
    for script in scripts {
        let body = format!("<script src=\"http://localhost:8001/instant.js\"></script><script type=\"module\">{script}</script>");
        shows_saved_rows(&site, &pages, &session, &body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_htmx_page_works_with_the_newest_htmx_too() {
    let site = Site::on_hub(18, WATCH).await;
    let Some(pages) = Pages::of(&site).await else { return };
    let page = snippet("htmx.min.js").replace("htmx.min.js", "htmx4.min.js");
    shows_saved_rows(&site, &pages, "", &page).await;
}

#[test]
fn the_documents_configuration_is_one() {
    let snippets = in_language(DOCUMENT, "toml");
    assert_eq!(snippets.len(), 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("instant.toml");
    std::fs::write(
        &path,
        format!("{}\n[database]\nurl = 'postgres://a@localhost/b'", snippets[0]),
    )
    .unwrap();
    let (config, _) = config::load(&path).unwrap();
    assert_eq!(config.server.unwrap().allowed_origins, ["http://localhost:8000"]);
}
