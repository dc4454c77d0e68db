//! Publications that commands send again, to the hub of the process that runs.

use crate::support::postgres::free_port;
use crate::support::process::instant;
use crate::support::site::Site;
use crate::support::wait::{SOON, eventually};

const RULES: &str = "
[[watch]]
model = 'shop.Country'
fields = ['name']
[[watch.rule]]
target = 'public'
message = '{{ row.name }}'
[[watch.rule]]
target = 'public'
message = '{{ row.name.nothing.here }}'
";

impl Site {
    /// Writes another instant.toml, in which `theirs` is `ours`, and returns its name.
    fn variant(&self, name: &'static str, theirs: &str, ours: &str) -> &'static str {
        let text = std::fs::read_to_string(self.folder.path().join("instant.toml")).unwrap();
        assert!(text.contains(theirs), "{theirs} in {text}");
        std::fs::write(self.folder.path().join(name), text.replace(theirs, ours)).unwrap();
        name
    }

    /// The dead letters, once there are so many.
    async fn letters(&self, count: i64) {
        let client = self.django.database.connect().await;
        eventually(SOON, "the dead letters", async || {
            let found = client.query_one("select count(*) from instant.dead_letter", &[]).await;
            (found.unwrap().get::<_, i64>(0) == count).then_some(())
        })
        .await;
    }

    /// What a command with this file prints, which fails.
    async fn fails(&self, file: &str, command: &[&str]) -> String {
        let output = instant(self.folder.path(), &[&["--config", file], command].concat(), &[]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        said
    }
}

const RETRY: &[&str] = &["dead", "retry", "--all"];
const REPLAY: &[&str] = &["replay", "--since", "1h"];

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_again_to_the_hub_says_who_does_not_answer_and_which_key_differs() {
    let site = Site::on_hub(18, RULES).await;
    site.python("Country.objects.create(code='x', name='Xanadu')").await;
    site.letters(1).await;
    // The rule is mended, and the process that runs does not know.
    site.variant("instant.toml", ".nothing.here", "");
    let own = site.url.rsplit_once(':').unwrap().1.to_owned();
    let away = site.variant("away.toml", &own, &free_port().to_string());
    let key = site.variant("key.toml", "an api key", "another api key");
    let (retried, replayed, refused, refused_too) = tokio::join!(
        site.fails(away, RETRY),
        site.fails(away, REPLAY),
        site.fails(key, RETRY),
        site.fails(key, REPLAY),
    );
    for said in [retried, replayed] {
        let wanted = "`instant run` does not answer at `[server] url` (start it, or set `[server] url` to its address)";
        assert!(said.contains(wanted) && !said.contains("entrifugo"), "{said}");
    }
    for said in [refused, refused_too] {
        let wanted =
            "`instant run` answered 401 Unauthorized (`[hub] api_key` or `[django] secret_key` differs from the running process)";
        assert!(said.contains(wanted) && !said.contains("entrifugo"), "{said}");
    }
    site.letters(1).await;
}
