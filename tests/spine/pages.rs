//! Many very large changes at once.

use std::time::Duration;

use super::Stack;
use crate::support::cache;
use crate::support::postgres;
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

/// A channel without subscribers, so that only the relay holds the publications.
const QUIET: &str = "[[watch]]\nmodel = 'shop.Tag'\nfields = ['name']\n[[watch.rule]]\nchannel = 'quiet'\n";
/// More changes than a window's first page has, so that the others are read through a held cursor; 256 of them have 1 MB.
const WRITE: &str = "insert into instant.outbox (source, op, new)
    select 'public.shop_tag', 'I', json_build_object('id', n, 'name', repeat('x', case when n > 1100 then 1 << 20 else 1 end))
    from generate_series(1, 1356) n";
/// The memory that a relay may take: the same as for 128 or 512 of them, most of it in the lanes' requests.
const LIMIT: u64 = 96 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_changes_of_a_megabyte_each_passes_in_bounded_memory() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, QUIET).await;
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        let client = stack.django.database.connect().await;
        client.batch_execute(WRITE).await.unwrap();
        stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
        eventually(Duration::from_mins(1), "everything to be settled", async || {
            let status = stack.command(&["status", "--json"], 0).await;
            let status: serde_json::Value = serde_json::from_str(&status).unwrap();
            (status["backlog"]["changes"] == 0).then_some(())
        })
        .await;
        let peak = stack.relay.peak_memory();
        assert!(peak < LIMIT, "PostgreSQL {version}: the relay held {peak} bytes");
        assert_eq!(stack.count("select count(*) from instant.dead_letter").await, 0);

        // The control: a client that collects such a page.
        let program = cache::path(&format!("postgres-{version}/bin/psql"));
        let page = "select new from instant.outbox order by id limit 2000";
        let script = ["\\o /dev/null", page, "\\o", "select 'collected'", "select pg_sleep(600)"];
        let mut arguments = vec!["--no-align", "--dbname", stack.django.database.url.as_str()];
        arguments.extend(script.iter().flat_map(|command| ["--command", command]));
        let collecting = Process::new(program, stack.folder.path(), &arguments, &[]);
        collecting.line("collected", SOON).await;
        let peak = collecting.peak_memory();
        assert!(peak > 2 * LIMIT, "PostgreSQL {version}: a page takes {peak} bytes");
    }
}
