use serde_json::json;

use crate::support::process::instant;
use crate::support::site::{Browser, Site};
use crate::support::wait::SOON;

const ROOMS: &str = r#"
[channels.'room:{room_id}']
allow = 'select 1 from chat_membership where room_id = $room_id and user_id = $user_id'
history = { size = 10, ttl = '1m' }
presence = true
[channels.'doc:{doc}.{part}']
allow = "select $part = 'public' or exists (select from doc where id = $doc and owner = $user_id)"
[channels.'ticket:{id}']
allow = 'select from ticket where id = $id'
[channels.'news:all']
allow = 'everyone'
[channels.'staff-room:{x}']
allow = 'staff'
[channels.'lobby:{x}']
allow = 'users'
[channels.'slow:{x}']
allow = 'select 1 from pg_sleep(30) where $x = $x'
[channels.'write:{x}']
allow = 'with gone as (delete from chat_membership where room_id::text = $x returning 1) select 1 from gone'
[channels.'broken:{x}']
allow = 'select 1 from no_such_table where id = $x'
"#;

const TABLES: &str = "
create table chat_membership (room_id bigint, user_id int);
create table doc (id uuid, owner int);
create table ticket (id varchar(20));
insert into doc values ('0b8f2c1e-7d1f-4e2a-9d63-0a7c0a0c7b11', 1);
insert into ticket values ('A-1');
insert into chat_membership values (7, 1)";

#[tokio::test(flavor = "multi_thread")]
async fn a_query_lets_in_whom_it_finds_a_row_for_and_nobody_else() {
    for site in Site::everywhere(ROOMS).await {
        let client = site.django.database.connect().await;
        client.batch_execute(TABLES).await.unwrap();
        let (first, second) = (site.new_user("first").await, site.new_user("second").await);
        let mut first = Browser::open(&site, &first).await;
        let mut second = Browser::open(&site, &second).await;
        let mut visitor = Browser::open(&site, "").await;

        for channel in [
            "room:7",
            "doc:0b8f2c1e-7d1f-4e2a-9d63-0a7c0a0c7b11.secret",
            "ticket:A-1",
            "news:all",
            "lobby:1",
        ] {
            assert_eq!(first.subscribe(channel).await, Ok(()), "{channel}");
        }
        for channel in [
            "room:8",
            "room:007",
            "room:+7",
            "room:7x",
            "room:99999999999999999999",
            "ticket:A-2",
            "staff-room:1",
            "room",
            "doc:0B8F2C1E-7D1F-4E2A-9D63-0A7C0A0C7B11.secret",
            "doc:x.secret",
        ] {
            assert_eq!(first.subscribe(channel).await, Err(403), "{channel}");
        }
        assert_eq!(first.subscribe("unknown:1").await, Err(102));
        assert_eq!(
            first.subscribe("write:7").await,
            Err(100),
            "a query that cannot be run has no answer"
        );
        for channel in ["room:7", "doc:0b8f2c1e-7d1f-4e2a-9d63-0a7c0a0c7b11.secret", "staff-room:1"] {
            assert_eq!(second.subscribe(channel).await, Err(403), "{channel}");
            assert_eq!(visitor.subscribe(channel).await, Err(403), "{channel}");
        }
        // A query that names the user never lets a visitor in.
        let open = "doc:0b8f2c1e-7d1f-4e2a-9d63-0a7c0a0c7b11.public";
        assert_eq!(second.subscribe(open).await, Ok(()));
        assert_eq!(visitor.subscribe(open).await, Err(403));
        assert_eq!(visitor.subscribe("lobby:1").await, Err(403));
        assert_eq!(visitor.subscribe("ticket:A-1").await, Ok(()));
        assert_eq!(visitor.subscribe("news:all").await, Ok(()));

        client
            .batch_execute("insert into chat_membership values (7, 2)")
            .await
            .unwrap();
        assert_eq!(second.subscribe("room:7").await, Ok(()), "joining works at once");
        site.centrifugo.publish("room:7", &json!("hello")).await;
        assert_eq!(second.next().await, Ok(("room:7".to_owned(), json!("hello"))));
        let rows = client.query_one("select count(*) from chat_membership", &[]).await.unwrap();
        assert_eq!(rows.get::<_, i64>(0), 2, "a rule's query has written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_or_broken_query_lets_nobody_in_and_clients_try_again() {
    let site = Site::start(18, ROOMS).await;
    let client = site.django.database.connect().await;
    client.batch_execute(TABLES).await.unwrap();
    let cookie = format!("sessionid={}", site.new_user("first").await);
    for channel in ["slow:1", "broken:1", "write:7"] {
        let body = json!({ "user": "1", "channel": channel });
        assert_eq!(site.ask("subscribe", &cookie, &body).await.0, 503, "{channel}");
    }
    let told = site.instant.output();
    assert!(told.contains("the query of the channel `broken:{x}` cannot be run"), "{told}");
    let checked = instant(site.folder.path(), &["check", "--db"], &[]).await;
    let told = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(2), "{told}");
    assert!(told.contains("no_such_table") && told.contains("data-modifying"), "{told}");
    assert_eq!(told.matches("error[broken-query]").count(), 2, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_called_broken_where_it_is_and_not_where_the_database_has_no_answer() {
    let site = Site::start(18, "[channels.'fails:{code}']\nallow = 'select fail($code)'\n").await;
    let client = site.django.database.connect().await;
    client
        .batch_execute(
            "create function fail(code text) returns boolean language plpgsql as
             $$ begin raise exception using errcode = code; end $$",
        )
        .await
        .unwrap();
    for (code, told) in [
        ("42P01", "the query of the channel `fails:{code}` cannot be run: 42P01"),
        ("P0001", "the query of the channel `fails:{code}` cannot be run: P0001"),
        ("57014", "the query of the channel `fails:{code}` cannot be run: 57014"),
        ("57P01", "the database cannot be queried: error returned from database: 57P01"),
        ("53300", "the database cannot be queried: error returned from database: 53300"),
        // A foreign table's server, or a table that is locked: another rule may have an answer.
        ("08001", "the query of the channel `fails:{code}` cannot be run: 08001"),
        ("55P03", "the query of the channel `fails:{code}` cannot be run: 55P03"),
    ] {
        let body = json!({ "user": "", "channel": format!("fails:{code}") });
        assert_eq!(site.ask("subscribe", "", &body).await.0, 503, "{code}");
        site.instant.line(told, SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_type_is_learned_again() {
    for site in Site::both(ROOMS).await {
        let client = site.django.database.connect().await;
        client.batch_execute(TABLES).await.unwrap();
        let cookie = site.new_user("first").await;
        assert_eq!(Browser::open(&site, &cookie).await.subscribe("room:7").await, Ok(()));
        client
            .batch_execute("alter table chat_membership alter room_id type text")
            .await
            .unwrap();
        let mut allowed = Vec::new();
        for _ in 0..2 {
            allowed.push(Browser::open(&site, &cookie).await.subscribe("room:7").await.is_ok());
        }
        assert_eq!(allowed.last(), Some(&true));
    }
}
