//! The diagnostics' pages about problems that only a database shows.

use instant::access::Access;
use instant::capture;
use instant::config::{Config, Source};

use super::fixture::Fixture;
use crate::support::cache::manifest;
use crate::support::document::in_language;
use crate::support::postgres::{self, versions};

/// The codes of all problems of an example, as `check --db` finds them.
async fn problems(fixture: &Fixture, example: &str) -> Vec<&'static str> {
    let url = format!("url = '{}'", fixture.database.url);
    let text = if example.contains("[database]") {
        example.replace("url = \"${DATABASE_URL}\"", &url)
    } else {
        format!("{example}\n[database]\n{url}\n")
    };
    let source = Source {
        path: "instant.toml".into(),
        text: text.into(),
    };
    let (config, diagnostics) = Config::parse(source, &|_| None);
    let config = config.unwrap_or_else(|| panic!("{diagnostics:?}"));
    let resolved = capture::resolve(&fixture.pool, &config).await.unwrap();
    let mut found = resolved.diagnostics.items;
    if found.is_empty() {
        let audience = capture::audience(&fixture.pool, &config, &resolved.watches).await.unwrap();
        let access = Access::new(&config).unwrap();
        let refusals = capture::refusals(&fixture.pool, &config).await.unwrap();
        found.extend(audience.items);
        found.extend(refusals.items);
        found.extend(access.broken_rules().await.unwrap().items);
        access.close().await;
    }
    found.iter().map(|item| item.code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_example_of_a_page_with_tables_gives_its_code_and_the_fixed_one_gives_no_problem() {
    let mut seen = 0;
    for file in std::fs::read_dir(manifest("docs/diagnostics")).unwrap() {
        let file = file.unwrap().path();
        let code = file.file_stem().unwrap().to_str().unwrap();
        let page = format!("docs/diagnostics/{code}.md");
        let [tables] = &in_language(&page, "sql")[..] else { continue };
        let fixture = Fixture::on(postgres::database(versions()[0]).await, tables).await;
        let examples = in_language(&page, "toml");
        assert_eq!(problems(&fixture, &examples[0]).await, [code]);
        if let Some(fixed) = examples.get(1) {
            assert_eq!(problems(&fixture, fixed).await, Vec::<&str>::new(), "{code}: {fixed}");
        }
        seen += 1;
    }
    assert!(seen > 15, "{seen} pages have tables");
}
