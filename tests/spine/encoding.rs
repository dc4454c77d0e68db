//! Text that is not UTF-8, which a database may hold whose encoding is `SQL_ASCII`.

use crate::support::centrifugo::Centrifugo;
use crate::support::client::Subscriber;
use crate::support::postgres;
use crate::support::process::{Process, instant};
use crate::support::wait::{SOON, eventually};

const RECORDS: &str = "
[[watch]]
table = 'record'
fields = ['title', 'artist_id']
related = { artist = { column = 'artist_id', fields = ['name'] } }
[[watch.rule]]
target = 'public'
message = '{{ row.title }}'
data = ['title', 'artist.name']
[[watch.rule]]
target = 'staff'
message = '{{ row.title + 1 }}'
[[watch]]
table = 'artist'
fields = ['name']
[[watch.rule]]
target = 'public'
message = '{{ row.name }}'
";

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_utf8_are_heard_as_such_and_what_comes_after_them_is_heard_too() {
    for version in postgres::versions() {
        let cluster = postgres::shared(version, &[]).await;
        let database = cluster
            .create("ascii", "template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'")
            .await;
        let client = database.connect().await;
        let tables = "create table artist (id int primary key, name text);
                      create table record (id int primary key, title text, artist_id int references artist)";
        client.batch_execute(tables).await.unwrap();
        let centrifugo = Centrifugo::start_new().await;
        let mut public = Subscriber::anonymous(&centrifugo, &["public"]).await;
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[database]\nurl = '{}'\n[centrifugo]\nurl = '{}'\napi_key = '{}'\n{RECORDS}",
            database.url, centrifugo.url, centrifugo.api_key
        );
        std::fs::write(folder.path().join("instant.toml"), config).unwrap();
        let applied = instant(folder.path(), &["apply"], &[]).await;
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        let relay = Process::instant(folder.path(), &["run"], &[]);
        relay.line("leading", SOON).await;
        for (statement, message) in [
            (r"insert into artist values (1, E'Bj\xf6rk')", "Bj\u{fffd}rk"),
            (r"insert into record values (1, E'caf\xe9', 1)", "caf\u{fffd}"),
            ("insert into record values (2, 'café', 1)", "café"),
        ] {
            client.batch_execute(statement).await.unwrap();
            let event = public.next(SOON).await.value();
            assert_eq!(event["message"], message, "{statement} {event}");
            if event["model"] == "record" {
                assert_eq!(event["data"]["title"], message);
                assert_eq!(event["data"]["artist"]["name"], "Bj\u{fffd}rk");
            }
        }
        let letters = eventually(SOON, "two dead letters", async || {
            let rows = client
                .query("select new::text from instant.dead_letter order by id", &[])
                .await
                .unwrap();
            (rows.len() == 2).then(|| rows.iter().map(|row| row.get(0)).collect::<Vec<String>>())
        })
        .await;
        assert!(
            letters[0].contains("caf\u{fffd}") && letters[1].contains("café"),
            "{letters:?}"
        );
    }
}
