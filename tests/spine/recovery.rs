//! A server that comes back after a crash, or whose standby takes its place.

use serde_json::{Value, json};

use super::{Stack, expect};
use crate::support::client::Publication;
use crate::support::django::Django;
use crate::support::postgres::{self, Cluster};
use crate::support::process::Process;
use crate::support::proxy::{Mode, Proxy};
use crate::support::wait::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn changes_after_a_crash_that_took_others_back_are_heard_although_their_ids_come_again() {
    for version in postgres::versions() {
        // Nothing is written to the log but what somebody waits for.
        let settings = [
            "synchronous_commit=off",
            "wal_writer_delay=10000ms",
            "wal_writer_flush_after=1GB",
        ];
        let cluster = Cluster::start_new(version, &settings).await;
        let mut stack = Stack::on(Django::new(&cluster).await, "").await;
        let connect = async || stack.django.database.connect().await;
        let run = async |statement: &str| connect().await.batch_execute(statement).await.unwrap();
        let one = async |query: &str| connect().await.query_one(query, &[]).await.unwrap().get::<_, i64>(0);
        let write = async |name: &str| {
            let statement =
                format!("insert into shop_country (code, name) select '{name}' || n, '' from generate_series(1, 20) n");
            run(&statement).await;
        };
        let last = "select last_value from instant.outbox_id_seq";
        let id = |event: &Value| event["id"].as_str().unwrap().split('-').next().unwrap().to_owned();
        let mut gone = Vec::new();
        for attempt in 0.. {
            // What there is up to here is there for good.
            run("checkpoint").await;
            let name = format!("gone{attempt}-");
            write(&name).await;
            gone.clear();
            for _ in 0..20 {
                gone.push(id(&stack.public.next(SOON).await.value()));
            }
            let before = one(last).await;
            cluster.crash().await;
            cluster.start().await;
            // PostgreSQL may have written some of its log by itself; then the crash did not take everything back.
            let left = one(&format!("select count(*) from shop_country where code like '{name}%'")).await;
            if left == 0 && one(last).await < before {
                break;
            }
        }
        write("new").await;
        let mut reused = None;
        for number in 1..=20 {
            let event = stack.public.next(SOON).await.value();
            assert_eq!(event["pk"], json!(format!("new{number}")));
            reused = reused.or(gone.contains(&id(&event)).then(|| id(&event)));
        }
        // The control: under the id alone, without its moment, what came after the crash would be taken for what was before it.
        let id = reused.expect("an id came again");
        for data in ["gone", "new"] {
            let request = json!({ "channel": "public", "data": data, "idempotency_key": id });
            stack.centrifugo.call("publish", &request).await;
        }
        stack.centrifugo.publish("public", &json!("marker")).await;
        let heard = stack.public.take(2, SOON).await;
        assert_eq!(heard.iter().map(Publication::value).collect::<Vec<_>>(), ["gone", "marker"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "a version that is left out is named")]
async fn a_promoted_standby_is_gone_on_with_where_its_primary_ended() {
    for version in postgres::versions() {
        let cluster = Cluster::start_new(version, &["wal_level=replica", "max_wal_senders=5"]).await;
        let mut stack = Stack::on(Django::new(&cluster).await, "").await;
        let Some(standby) = cluster.standby().await else {
            eprintln!("PostgreSQL {version} has no pg_basebackup here: no standby can be made of it");
            continue;
        };
        // A commit is seen by nobody before the standby has it; what is not acknowledged yet may be lost, and is heard by nobody.
        let primary = stack.django.database.connect().await;
        for statement in ["alter system set synchronous_standby_names = '*'", "select pg_reload_conf()"] {
            primary.batch_execute(statement).await.unwrap();
        }
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        let proxy = Proxy::to(&stack.django.database.url).await;
        let far = proxy.url(&stack.django.database.url);
        // The subscriber stays while Centrifugo cannot be reached, and so hears all that is published.
        let way = Proxy::to(&stack.centrifugo.url).await;
        stack.reconfigure(&stack.centrifugo.url, &way.url(&stack.centrifugo.url));
        stack.relay = Process::instant(stack.folder.path(), &["run"], &[("INSTANT_DATABASE_URL", &far)]);
        stack.relay.line("leading", SOON).await;
        let events = stack.events("Country.objects.create(code='a', name='')").await;
        expect(&events, &[("Country created", "a".into())]);
        way.set(Mode::Cut);
        let many = "insert into shop_country (code, name) select 'b' || n, '' from generate_series(1, 50) n";
        primary.batch_execute(many).await.unwrap();

        cluster.crash().await;
        let url = standby.url(&stack.django.database.name);
        proxy.retarget(&url);
        // It may not be written yet, which is no reason to give up.
        stack.relay.line("during recovery", SOON).await;
        standby.promote().await;
        let client = postgres::connect(&url).await;
        client
            .batch_execute("insert into shop_country (code, name) values ('c', '')")
            .await
            .unwrap();
        way.set(Mode::Pass);
        client
            .batch_execute("insert into shop_country (code, name) values ('d', '')")
            .await
            .unwrap();
        // The standby may know an older cursor: what was heard before is sent again, under the keys that Centrifugo knows.
        let wanted = (1..=50).map(|number| format!("b{number}"));
        for pk in wanted.chain(["c", "d"].map(str::to_owned)) {
            assert_eq!(stack.public.next(SOON).await.value()["pk"], pk);
        }
        let parked: i64 = client
            .query_one("select count(*) from instant.dead_letter", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(parked, 0);
    }
}
