use serde_json::json;

use crate::support::django::Django;
use crate::support::postgres::versions;
use crate::support::site::{Browser, Site};

/// The document whose table lists who receives what.
const DOCUMENT: &str = include_str!("../../docs/access.md");

/// Python that prints the cookie of each row of the table, and the user's key.
pub(super) fn persona(who: &str) -> &'static str {
    match who {
        "an anonymous visitor" => "print('', 0)",
        "a user" => "u = user('user'); print(cookie(login('user')), u.pk)",
        "a staff user" => "u = user('staff', is_staff=True); print(cookie(login('staff')), u.pk)",
        "a superuser" => "u = user('super', is_superuser=True); print(cookie(login('super')), u.pk)",
        "a superuser who is also staff" => {
            "u = User.objects.create_superuser('root', password='secret'); print(cookie(login('root')), u.pk)"
        }
        "a member of the group `editors`" => {
            "u = user('editor'); u.groups.add(Group.objects.create(name='editors')); print(cookie(login('editor')), u.pk)"
        }
        "a member of the group `Night: é`" => {
            "u = user('night'); u.groups.add(Group.objects.create(name='Night: é')); print(cookie(login('night')), u.pk)"
        }
        "a user whose session's key is now a fallback" => {
            "u = user('fallback')\nwith override_settings(SECRET_KEY='an old key'): print(cookie(login('fallback')), u.pk)"
        }
        "a user whose session's key is no longer valid" => {
            "u = user('rotated')\nwith override_settings(SECRET_KEY='an older key'): print(cookie(login('rotated')), u.pk)"
        }
        "a user who was deactivated" => {
            "u = user('idle'); print(cookie(login('idle')), u.pk); User.objects.filter(pk=u.pk).update(is_active=False)"
        }
        "a user who was deleted" => "u = user('gone'); print(cookie(login('gone')), u.pk); u.delete()",
        "a user who has logged out" => "u = user('out'); c = login('out'); print(cookie(c), u.pk); c.post('/accounts/logout/')",
        "a user whose password was changed" => {
            "u = user('changed'); print(cookie(login('changed')), u.pk); u.set_password('other'); u.save()"
        }
        "a user whose session has expired" => {
            "u = user('late'); k = cookie(login('late')); print(k, u.pk)\n\
             Session.objects.filter(pk=k).update(expire_date=timezone.now() - datetime.timedelta(seconds=1))"
        }
        "a session that another key signed" => {
            "u = user('other'); k = cookie(login('other')); s = Session.objects.get(pk=k); print(k, u.pk); decoded = s.get_decoded()\n\
             with override_settings(SECRET_KEY='another site'): s.session_data = Session.get_session_store_class()().encode(decoded)\n\
             s.save()"
        }
        "a forged cookie" => "print('0123456789abcdefghijklmnopqrstuv', 0)",
        "a truncated cookie" => "u = user('short'); print(cookie(login('short'))[:-1], u.pk)",
        who => panic!("the document speaks of `{who}`, the test does not"),
    }
}

/// The rows of the table: who, and the channels they receive.
pub(super) fn table() -> Vec<(String, Vec<String>)> {
    let rows = DOCUMENT.lines().skip_while(|line| *line != "| who | receives |").skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let (who, hears) = (cells.next().unwrap(), cells.next().unwrap());
            (
                who.to_owned(),
                hears
                    .split(", ")
                    .map(|channel| channel.trim_matches('`').to_owned())
                    .collect(),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hears_exactly_what_the_table_says() {
    for site in Site::everywhere("").await {
        hear_what_the_table_says(site).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hears_exactly_what_the_table_says_under_the_older_django_too() {
    hear_what_the_table_says(Site::of(Django::lts_on(18).await, "").await).await;
}

async fn hear_what_the_table_says(site: Site) {
    let table = table();
    assert_eq!(table.len(), 17);
    let mut browsers = Vec::new();
    let mut everything = Vec::new();
    for (who, hears) in &table {
        let printed = site.python(persona(who)).await;
        let (cookie, key) = printed.rsplit_once(' ').unwrap();
        let mut hears: Vec<String> = hears.iter().map(|channel| channel.replace("ID", key)).collect();
        hears.sort();
        everything.extend(hears.iter().cloned().chain([format!("#{key}")]));
        let browser = Browser::open(&site, cookie).await;
        assert_eq!(browser.channels, hears, "{who}");
        browsers.push((who, hears, browser));
    }
    everything.sort();
    everything.dedup();
    for channel in &everything {
        site.centrifugo.publish(channel, &json!("secret")).await;
    }
    site.centrifugo.publish("public", &json!("end")).await;
    for (who, hears, browser) in &mut browsers {
        assert_eq!(browser.heard("end").await, *hears, "{who}");
    }
    // Nobody gets into another's channel by asking.
    for (who, hears, browser) in &mut browsers {
        for channel in everything.iter().filter(|channel| !hears.contains(channel)) {
            assert_eq!(browser.subscribe(channel).await, Err(403), "{who}, {channel}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_can_be_kept_out() {
    for site in Site::both("[channels]\nanonymous = false\n").await {
        assert_eq!(Browser::try_open(&site, "", json!({})).await.err(), Some(4501));
        assert_eq!(Browser::try_open(&site, "forged12", json!({})).await.err(), Some(4501));
        let cookie = site.new_user("user").await;
        assert!(Browser::open(&site, &cookie).await.channels.contains(&"users".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_with_a_user_model_of_its_own_logs_in_and_out_like_any_other() {
    const CLUB: &str = "user_model = 'club.Member'\nuser_table = 'people'\n";
    for version in versions() {
        let site = Site::of(Django::club_on(version).await, CLUB).await;
        let printed = site
            .python("u = user('a'); u.groups.add(Group.objects.create(name='editors')); c = login('a'); print(cookie(c), u.pk)")
            .await;
        let (cookie, key) = printed.split_once(' ').unwrap();
        assert_eq!(key.len(), 36);
        let mut browser = Browser::open(&site, cookie).await;
        let mut hears = ["public", "users", "group.editors", &format!("#{key}")].map(str::to_owned);
        hears.sort();
        assert_eq!(browser.channels, hears);
        let superuser = site
            .python("u = user('b', is_superuser=True); print(cookie(login('b')))")
            .await;
        let superuser = Browser::open(&site, &superuser).await;
        assert!(
            superuser.channels.contains(&"superuser".to_owned()),
            "{:?}",
            superuser.channels
        );
        site.centrifugo.publish(&format!("#{key}"), &json!("mine")).await;
        site.centrifugo.publish("public", &json!("end")).await;
        assert_eq!(browser.heard("end").await, [format!("#{key}")]);
        site.python("c.post('/accounts/logout/')").await;
        assert_eq!(browser.next().await, Err(4001), "the socket was closed");
        assert_eq!(Browser::open(&site, cookie).await.channels, ["public"]);

        let cookie = site.python("c = login('a'); print(cookie(c))").await;
        let mut browser = Browser::open(&site, &cookie).await;
        site.python("User.objects.filter(email='a').update(is_active=False)").await;
        assert_eq!(browser.next().await, Err(4001), "the socket was closed");
        assert_eq!(Browser::open(&site, &cookie).await.channels, ["public"]);
    }
}
