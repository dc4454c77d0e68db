//! The harness itself: the servers answer, the faults occur, and nothing is left behind.

use std::time::Duration;

use serde_json::json;

use crate::support::centrifugo::Centrifugo;
use crate::support::client::Subscriber;
use crate::support::django::Django;
use crate::support::postgres::{self, Cluster, connect};
use crate::support::process::{Process, instant};
use crate::support::proxy::{Mode, Proxy};
use crate::support::wait::{SOON, eventually, within};

#[tokio::test]
async fn a_database_of_each_version_answers() {
    for version in postgres::versions() {
        let database = postgres::database(version).await;
        let client = database.connect().await;
        let row = client
            .query_one(
                "select current_setting('server_version_num')::int / 10000, current_database()",
                &[],
            )
            .await;
        let row = row.unwrap();
        assert_eq!(row.get::<_, i32>(0).cast_unsigned(), version);
        assert_eq!(database.cluster.version, version);
        assert_eq!(row.get::<_, String>(1), database.name);
        connect(&database.admin_url)
            .await
            .batch_execute("create role reader login")
            .await
            .unwrap();
        let reader = connect(&database.url_as("reader")).await;
        assert_eq!(
            reader
                .query_one("select current_user::text", &[])
                .await
                .unwrap()
                .get::<_, String>(0),
            "reader"
        );
    }
}

#[tokio::test]
async fn settings_of_their_own_get_a_cluster_of_their_own() {
    let database = postgres::database_with(15, &["max_prepared_transactions=10"]).await;
    let setting = "select current_setting('max_prepared_transactions')";
    assert_eq!(
        database
            .connect()
            .await
            .query_one(setting, &[])
            .await
            .unwrap()
            .get::<_, String>(0),
        "10"
    );
    let plain = postgres::database(15).await;
    assert_eq!(
        plain
            .connect()
            .await
            .query_one(setting, &[])
            .await
            .unwrap()
            .get::<_, String>(0),
        "0"
    );
}

#[tokio::test]
async fn a_cluster_keeps_its_commits_over_a_stop_and_a_crash() {
    let cluster = Cluster::start_new(18, &[]).await;
    let database = cluster.database().await;
    database
        .connect()
        .await
        .batch_execute("create table kept as select 1 as one")
        .await
        .unwrap();
    cluster.stop().await;
    assert!(tokio_postgres::connect(&database.url, tokio_postgres::NoTls).await.is_err());
    cluster.start().await;
    database
        .connect()
        .await
        .batch_execute("insert into kept values (2)")
        .await
        .unwrap();
    cluster.crash().await;
    cluster.start().await;
    assert_eq!(
        database.connect().await.query("select * from kept", &[]).await.unwrap().len(),
        2
    );
    assert!(cluster.log().contains("automatic recovery"), "{}", cluster.log());
}

#[tokio::test]
async fn django_saves_a_row_on_each_version() {
    for version in postgres::versions() {
        let django = Django::on(version).await;
        let printed = django
            .run(
                "
                order = Order.objects.create(number='17', total=Decimal('12.50'))
                order.tags.add(Tag.objects.create(name='new'))
                print(order.pk)
                ",
            )
            .await;
        let row = "select id, total::text from shop_order";
        let row = django.database.connect().await.query_one(row, &[]).await.unwrap();
        assert_eq!(format!("{}\n", row.get::<_, i64>(0)), printed);
        assert_eq!(row.get::<_, String>(1), "12.50");
        assert_eq!(django.run("print(order.number)").await, "17\n", "names live on");
    }
}

#[tokio::test]
async fn django_tells_what_it_raises_and_goes_on() {
    let django = Django::on(18).await;
    let error = django.try_run("Order.objects.get(number='none')").await.unwrap_err();
    assert!(error.contains("DoesNotExist"), "{error}");
    django
        .run("Stock.objects.create(warehouse=1, product='tea'); Legacy.objects.create(label='x')")
        .await;
    let other = django.another();
    assert_eq!(other.run("print(Stock.objects.get(pk=(1, 'tea')).amount)").await, "0\n");
}

#[tokio::test]
async fn centrifugo_delivers_a_publication_as_it_was_written() {
    let server = Centrifugo::start_new().await;
    let mut anyone = Subscriber::anonymous(&server, &["public", "room:1"]).await;
    let request = reqwest::Client::new()
        .post(format!("{}/api/publish", server.url))
        .header("X-API-Key", &server.api_key);
    let body = r#"{"channel":"public","data":{"b":1.0,"a":1,"a":2,"big":12345678901234567890123}}"#;
    assert!(request.body(body).send().await.unwrap().status().is_success());
    let publication = anyone.next(SOON).await;
    assert_eq!((publication.channel.as_str(), publication.offset), ("public", 0));
    assert_eq!(publication.text(), r#"{"b":1.0,"a":1,"a":2,"big":12345678901234567890123}"#);

    server.publish("room:1", &json!("first")).await;
    server.publish("room:1", &json!("second")).await;
    let offsets: Vec<u64> = anyone
        .take(2, SOON)
        .await
        .iter()
        .map(|publication| publication.offset)
        .collect();
    assert_eq!(offsets, [1, 2]);
}

#[tokio::test]
async fn only_a_user_hears_the_users_own_channel() {
    let server = Centrifugo::start_new().await;
    let mut alice = Subscriber::user(&server, "42", &["public", "#42"]).await;
    let mut anyone = Subscriber::anonymous(&server, &["public"]).await;
    assert!(!anyone.subscribe("#42").await, "an anonymous client may not");
    assert!(!alice.subscribe("#43").await, "nor may another user");
    server.publish("#42", &json!("yours")).await;
    server.publish("public", &json!("marker")).await;
    assert_eq!(alice.next(SOON).await.value(), "yours");
    anyone.expect_silence_until(SOON, |value| value == "marker").await;
}

#[tokio::test]
async fn a_centrifugo_that_was_killed_starts_again_at_the_same_place() {
    let mut server = Centrifugo::with(json!({ "log": { "level": "error" } })).await;
    server.stop().await;
    assert!(reqwest::get(format!("{}/health", server.url)).await.is_err());
    server.start().await;
    assert!(reqwest::get(format!("{}/health", server.url)).await.is_ok());
}

#[tokio::test]
async fn the_proxy_cuts_connections_and_refuses_new_ones() {
    let database = postgres::database(18).await;
    let proxy = Proxy::to(&database.url).await;
    let url = proxy.url(&database.url);
    let client = connect(&url).await;
    client.batch_execute("select 1").await.unwrap();
    proxy.set(Mode::Cut);
    within(SOON, "an error", client.batch_execute("select 1")).await.unwrap_err();
    assert!(tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_err());
    proxy.set(Mode::Pass);
    let client = connect(&url).await;
    client.batch_execute("select 1").await.unwrap();
    proxy.reset();
    within(SOON, "an error", client.batch_execute("select 1")).await.unwrap_err();
    connect(&url).await.batch_execute("select 1").await.unwrap();
}

#[tokio::test]
async fn the_proxy_stalls_connections_and_lets_them_go_on() {
    let database = postgres::database(18).await;
    let proxy = Proxy::to(&database.url).await;
    let client = connect(&proxy.url(&database.url)).await;
    proxy.set(Mode::Stall);
    let query = client.batch_execute("select 1");
    tokio::pin!(query);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), &mut query).await.is_err(),
        "a stalled proxy passes nothing on"
    );
    proxy.set(Mode::Pass);
    within(SOON, "the stalled query", query).await.unwrap();
}

#[tokio::test]
async fn the_proxy_answers_with_a_status_and_loses_replies() {
    let server = Centrifugo::start_new().await;
    let mut anyone = Subscriber::anonymous(&server, &["public"]).await;
    let proxy = Proxy::to(&server.url).await;
    let http = reqwest::Client::new();
    let publish = async || {
        let request = http
            .post(format!("{}/api/publish", proxy.url(&server.url)))
            .header("X-API-Key", &server.api_key);
        request.json(&json!({ "channel": "public", "data": "done" })).send().await
    };
    proxy.set(Mode::Answer(500));
    assert_eq!(publish().await.unwrap().status(), 500);
    proxy.set(Mode::LoseReplies);
    assert!(publish().await.is_err());
    assert_eq!(anyone.next(SOON).await.value(), "done", "the request arrived");
    proxy.set(Mode::Pass);
    assert!(publish().await.unwrap().status().is_success());
}

#[tokio::test]
async fn a_process_is_heard_signalled_and_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap 'echo asked to stop; exit 3' TERM; echo \"ready, $NAME\"; while :; do sleep 0.1; done";
    let mut process = Process::new("bash", folder.path(), &["-c", script], &[("NAME", "reader")]);
    assert_eq!(process.line("ready", SOON).await, "ready, reader");
    assert!(process.peak_memory() > 0);
    process.signal("TERM").await;
    assert_eq!(process.wait(SOON).await.code(), Some(3));
    process.line("asked to stop", SOON).await;
}

#[tokio::test]
async fn a_process_ends_with_its_handle() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::new("sh", folder.path(), &["-c", "echo $$; exec sleep 600"], &[]);
    let id: u32 = process.line("", SOON).await.parse().unwrap();
    drop(process);
    eventually(SOON, "the end of the process", async || {
        let status = std::fs::read_to_string(format!("/proc/{id}/stat"));
        status.map_or(true, |status| status.contains(") Z ")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_binary_runs() {
    let folder = tempfile::tempdir().unwrap();
    let output = instant(folder.path(), &["--version"], &[]).await;
    assert!(output.status.success(), "{output:?}");
    let mut process = Process::instant(folder.path(), &["--help"], &[]);
    assert!(process.wait(SOON).await.success());
}
