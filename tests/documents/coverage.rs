//! Which test runs the snippets of which page.

use std::collections::BTreeSet;

use crate::failures::sources;
use crate::support::cache::manifest;
use crate::support::document::{pages, snippets};

/// A page, a language, and the test that runs every snippet of that language there. `*` is every language: such a test follows the
/// page from its first snippet to its last, and fails at one that it does not know.
const RUN: &[(&str, &str, &str)] = &[
    (
        "README.md",
        "*",
        "the_quick_start_leads_from_a_project_to_a_page_that_hears_each_write_and_what_is_sent_by_hand",
    ),
    ("docs/access.md", "*", "an_access_decision_is_explained_as_the_page_has_it"),
    ("docs/broadcast.md", "*", "the_messages_of_the_page_are_heard_as_it_says"),
    ("docs/cli.md", "*", "the_page_of_commands_holds_the_help_of_every_command"),
    (
        "docs/client.md",
        "html",
        "every_page_of_the_document_shows_a_row_that_is_saved_in_django",
    ),
    (
        "docs/client.md",
        "js",
        "every_script_of_the_document_runs_and_hears_a_saved_row",
    ),
    ("docs/client.md", "toml", "the_documents_configuration_is_one"),
    (
        "docs/configuration.md",
        "json",
        "the_examples_of_events_on_other_pages_have_the_fields_of_the_reference",
    ),
    ("docs/configuration.md", "text", "a_problem_is_shown_as_the_page_has_it"),
    ("docs/configuration.md", "toml", EXAMPLES),
    ("docs/events.md", "*", "each_example_of_an_event_is_what_is_published"),
    (
        "docs/explanation/doze.md",
        "*",
        "a_writer_notifies_who_sleeps_and_nobody_falls_asleep_beside_its_change",
    ),
    (
        "docs/explanation/windows.md",
        "*",
        "reading_by_id_loses_the_late_commit_and_a_window_does_not",
    ),
    (
        "docs/how-to/centrifugo-redis.md",
        "*",
        "two_nodes_share_publications_presence_and_history_and_one_may_end",
    ),
    (
        "docs/how-to/docker.md",
        "toml",
        "what_the_page_about_containers_shows_is_accepted",
    ),
    (
        "docs/how-to/docker.md",
        "yaml",
        "what_the_page_about_containers_shows_is_accepted",
    ),
    (
        "docs/how-to/production.md",
        "*",
        "sockets_and_script_go_through_nginx_with_tls_at_the_sites_own_address_and_the_rest_stays_inside",
    ),
    (
        "docs/how-to/roles.md",
        "*",
        "an_owner_installs_a_relay_reads_the_outbox_alone_and_the_application_writes_as_before",
    ),
    (
        "docs/hub.md",
        "*",
        "the_hub_is_turned_on_connected_to_and_asked_as_the_page_has_it",
    ),
    (
        "docs/operations.md",
        "json",
        "the_examples_of_events_on_other_pages_have_the_fields_of_the_reference",
    ),
    ("docs/operations.md", "sh", "the_commands_of_the_page_are_commands"),
    ("docs/operations.md", "sql", "the_commands_of_the_page_are_commands"),
    ("docs/operations.md", "text", "what_the_page_shows_is_what_the_commands_print"),
    (
        "docs/testing.md",
        "python",
        "the_tests_of_the_page_and_those_of_the_package_pass_with_djangos_runner_and_its_parallel_clones",
    ),
    ("docs/testing.md", "toml", "the_tests_of_the_page_pass_with_pytest"),
    (
        "docs/tutorial.md",
        "*",
        "the_tutorial_leads_from_an_empty_folder_to_pages_that_move",
    ),
    ("python/README.md", "*", "the_packages_own_page_is_right"),
];

/// Snippets that no test runs unchanged, and what is done instead.
const NOT_RUN: &[(&str, &str, &str)] = &[
    (
        "docs/how-to/docker.md",
        "sh",
        "there is no Docker engine where these tests run: the commands of the containers are run outside of them",
    ),
    (
        "docs/install.md",
        "sh",
        "the crate, the wheel, the completions and the manual are made and used by the tests of packaging, in folders of their own",
    ),
    (
        "docs/metrics.md",
        "yaml",
        "there is no Prometheus among the servers of the tests; the names of its metrics are compared with the table",
    ),
];

/// The tests of the examples in diagnostics' pages, and of all pages' examples against the editors' schema.
const EXAMPLES: &str = "every_example_of_the_documentation_fits_the_schema_and_those_of_its_mistakes_do_not";

/// The pages whose examples have tests of their own: one code per page.
const DIAGNOSTICS: &str = "docs/diagnostics/";

/// Whether a function of this name is marked as a test.
fn is_test(sources: &str, name: &str) -> bool {
    let Some((before, _)) = sources.split_once(&format!("fn {name}(")) else {
        return false;
    };
    let mut marks = before.lines().rev().take_while(|line| !line.is_empty() && *line != "}");
    marks.any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
}

#[test]
fn every_snippet_of_the_documentation_is_run_by_a_test_or_says_why_not() {
    let tests = sources(&manifest("tests"));
    let mut there: BTreeSet<(String, String)> = BTreeSet::new();
    for page in pages().into_iter().filter(|page| !page.starts_with(DIAGNOSTICS)) {
        for snippet in snippets(&page) {
            there.insert((page.clone(), snippet.language));
        }
    }
    for (page, language, test) in RUN {
        assert!(is_test(&tests, test), "{page}: there is no test {test}");
        let known = there.len();
        there.retain(|(of, in_language)| of != page || (*language != "*" && in_language != language));
        assert!(
            there.len() < known,
            "{page} has nothing in {language} that is not listed already"
        );
    }
    for (page, language, why) in NOT_RUN {
        assert!(
            there.remove(&((*page).to_owned(), (*language).to_owned())) && !why.is_empty(),
            "{page}: {language}"
        );
    }
    assert_eq!(there, BTreeSet::new(), "no test is named for these");
}
