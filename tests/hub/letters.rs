//! Publications that commands send again, to the hub of the running process.

use crate::spine::UNSETTLED;
use crate::support::postgres::free_port;
use crate::support::process::instant;
use crate::support::site::Site;
use crate::support::wait::{SOON, eventually};

pub(super) const RULES: &str = "
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

/// The file of the running process.
pub(super) const OWN: &str = "instant.toml";

impl Site {
    /// Writes a copy of `from` with `theirs` replaced by `ours`.
    pub(crate) fn variant(&self, name: &str, from: &str, theirs: &str, ours: &str) {
        let text = std::fs::read_to_string(self.folder.path().join(from)).unwrap();
        assert!(text.contains(theirs), "{theirs} in {text}");
        std::fs::write(self.folder.path().join(name), text.replace(theirs, ours)).unwrap();
    }

    /// Waits until there are this many dead letters and everything else is settled, since a replay sends only settled changes.
    pub(super) async fn letters(&self, count: i64) {
        let client = self.django.database.connect().await;
        let ask = async |query| client.query_one(query, &[]).await.unwrap().get::<_, i64>(0);
        eventually(SOON, "the dead letters", async || {
            let found = ask("select count(*) from instant.dead_letter").await;
            (found == count && ask(UNSETTLED).await == 0).then_some(())
        })
        .await;
    }

    /// Runs a command with this file, which must fail; returns its output.
    pub(super) async fn fails(&self, file: &str, command: &[&str]) -> String {
        let output = instant(self.folder.path(), &[&["--config", file], command].concat(), &[]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        said
    }
}

pub(super) const RETRY: &[&str] = &["dead", "retry", "--all"];
pub(super) const REPLAY: &[&str] = &["replay", "--since", "1h"];

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_again_to_the_hub_says_who_does_not_answer_and_which_key_differs() {
    let site = Site::on_hub(18, RULES).await;
    site.python("Country.objects.create(code='x', name='Xanadu')").await;
    site.letters(1).await;
    // The rule is fixed, and the process that runs does not know.
    site.variant(OWN, OWN, ".nothing.here", "");
    let own = site.url.rsplit_once(':').unwrap().1.to_owned();
    let (away, key) = ("away.toml", "key.toml");
    site.variant(away, OWN, &own, &free_port().to_string());
    site.variant(key, OWN, "an api key", "another api key");
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
