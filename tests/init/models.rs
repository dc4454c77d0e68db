//! What `init` finds in a project's models, whatever their shape.

use super::SHOP;
use super::project::Project;
use crate::support::process::instant;

#[tokio::test(flavor = "multi_thread")]
async fn own_models_are_proposed_without_what_looks_secret_and_diff_shows_the_new_ones() {
    let project = Project::start("python", &[("shop", SHOP)], "").await;
    project.migrate().await;
    project.init().await;
    let file = project.file();
    assert!(
        file.contains("# model = \"shop.Customer\"\n# fields = [\"name\", \"owner\"]\n"),
        "{file}"
    );
    assert!(
        file.contains("# # left out, and never captured: api_token, PasswordHint, photo\n"),
        "{file}"
    );
    assert!(
        file.contains("target = { user = \"owner\" }") && file.contains("model = \"shop.Customer.friends\""),
        "{file}"
    );
    // The models of Django's own apps are not the project's.
    assert!(!file.contains("auth.Group") && !file.contains("LogEntry"), "{file}");
    let diff = ["init", "--diff", "--python", project.python.to_str().unwrap()];
    assert!(project.instant(&diff).await.contains("mentions everything"));
    let models = project.path().join("shop/models.py");
    let more = std::fs::read_to_string(&models).unwrap() + "class Invoice(models.Model):\n    number = models.IntegerField()\n";
    std::fs::write(&models, more).unwrap();
    project.migrate().await;
    let said = project.instant(&diff).await;
    assert!(said.contains("shop.Invoice") && !said.contains("shop.Customer"), "{said}");
    assert_eq!(project.file(), file);
    project.take_all_and_run().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_model_of_ones_own_and_renamed_tables_are_found() {
    let accounts = "
import uuid
from django.contrib.auth.models import AbstractUser
from django.db import models
class Member(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    class Meta:
        db_table = 'Our Members'
class Note(models.Model):
    author = models.ForeignKey(Member, models.CASCADE, db_column='written by')
    text = models.TextField()
    class Meta:
        db_table = 'notes'
";
    let settings = "AUTH_USER_MODEL = 'accounts.Member'\nSESSION_COOKIE_NAME = 'us'\n\
                    SESSION_ENGINE = 'django.contrib.sessions.backends.cached_db'\nSESSION_COOKIE_AGE = 3600\n";
    let project = Project::start("python", &[("accounts", accounts)], settings).await;
    project.migrate().await;
    project.init().await;
    let file = project.file();
    for line in [
        "session_cookie = \"us\"",
        "session_engine = \"cached_db\"",
        "session_cookie_age = \"3600s\"",
        "user_model = \"accounts.Member\"",
        "user_table = \"\\\"Our Members\\\"\"",
        "# table = \"notes\"",
        "# fields = [\"written by\", \"text\"]",
        "#   target = { user = \"written by\" }",
    ] {
        assert!(file.lines().any(|found| found == line), "{line} is not in\n{file}");
    }
    project.take_all_and_run().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_with_a_column_of_another_name_is_proposed_by_that_column() {
    let notes = "
from django.conf import settings
from django.db import models
def user(**options):
    return models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name='+', **options)
class Note(models.Model):
    author = user(db_column='written by')
    editor = user(db_column='editor')
    reader = user()
    text = models.TextField(db_column='body')
    password = models.TextField(db_column='pw')
";
    let project = Project::start("python", &[("notes", notes)], "").await;
    project.migrate().await;
    project.init().await;
    let file = project.file();
    for line in [
        "# model = \"notes.Note\"",
        "# fields = [\"written by\", \"editor\", \"reader\", \"body\"]",
        "# # left out, and never captured: pw",
        "#   target = { user = \"written by\" }",
        "#   target = { user = \"editor\" }",
    ] {
        assert!(file.lines().any(|found| found == line), "{line} is not in\n{file}");
    }
    project.take_all_and_run().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_inherits_is_told_and_is_an_event_of_its_parent_and_a_proxy_is_not_proposed() {
    let crm = "
from django.db import models
class Place(models.Model):
    name = models.CharField(max_length=100)
class OpenPlace(Place):
    class Meta:
        proxy = True
class Restaurant(Place):
    stars = models.IntegerField()
";
    let project = Project::start("python", &[("crm", crm)], "").await;
    project.migrate().await;
    project.init().await;
    let file = project.file();
    let told = "# fields = [\"stars\"]\n# # what it inherits from crm.Place is not in this table: watch that too\n";
    assert!(
        file.contains(told) && file.matches("inherits").count() == 1 && !file.contains("OpenPlace"),
        "{file}"
    );
    project.take_all_and_run().await;
    let client = project.database.connect().await;
    let mut written = Vec::new();
    for statement in [
        "Restaurant.objects.create(name='a', stars=1)",
        "r = Restaurant.objects.get(); r.name = 'b'; r.save()",
        "r = Restaurant.objects.get(); r.stars = 2; r.save()",
        "OpenPlace.objects.update(name='c')",
    ] {
        project
            .python(&["manage.py", "shell", "-c", &format!("from crm.models import *; {statement}")])
            .await;
        let rows = client
            .query(
                "with taken as (delete from instant.outbox returning *) select source, op::text from taken order by id",
                &[],
            )
            .await
            .unwrap();
        let row = |row: &tokio_postgres::Row| format!("{} {}", row.get::<_, &str>(0), row.get::<_, &str>(1));
        written.push(rows.iter().map(row).collect::<Vec<_>>().join(", "));
    }
    assert_eq!(
        written,
        [
            "public.crm_place I, public.crm_restaurant I",
            "public.crm_place U",
            "public.crm_restaurant U",
            "public.crm_place U"
        ]
    );
    let toml = "[database]\nurl = '${DATABASE_URL}'\n[[watch]]\nmodel = 'crm.Restaurant'\nfields = ['name']\n\
                [[watch]]\nmodel = 'crm.OpenPlace'\n";
    std::fs::write(project.path().join("instant.toml"), toml).unwrap();
    let output = instant(project.path(), &["check", "--db"], &project.environment()).await;
    let said = String::from_utf8(output.stderr).unwrap();
    for help in [
        "an inherited field is a column of the parent's table: watch that model too",
        "for a proxy, watch the concrete model, with `when`",
    ] {
        assert!(said.contains(help), "{said}");
    }
    let related = "[[watch]]\nmodel = 'crm.Restaurant'\nfields = ['stars']\nrelated = { place_ptr = ['name'] }\n\
                   [[watch.rule]]\nmessage = '{{ row.place_ptr.name }}'\n";
    std::fs::write(
        project.path().join("instant.toml"),
        format!("[database]\nurl = '${{DATABASE_URL}}'\n{related}"),
    )
    .unwrap();
    let said = project.instant(&["check", "--db"]).await;
    assert!(said.contains("no errors") && !said.contains("warning["), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_schemas_partitions_and_heirs_are_found_by_django_and_by_the_database_alone() {
    let crm = "
from django.db import models
class Client(models.Model):
    name = models.CharField(max_length=100)
    class Meta:
        db_table = 'crm\".\"client'
class Place(models.Model):
    name = models.CharField(max_length=100)
class Restaurant(Place):
    stars = models.IntegerField()
";
    let project = Project::start("python", &[("crm", crm), ("shop", SHOP)], "").await;
    let client = project.database.connect().await;
    client.batch_execute("create schema crm").await.unwrap();
    project.migrate().await;
    client
        .batch_execute(
            "create table measured (id bigint, at date, value int, primary key (id, at)) partition by range (at);
             create table measured_now partition of measured default;
             create table log (id int primary key, line text); create table audit (primary key (id)) inherits (log);
             create table keyless (line text)",
        )
        .await
        .unwrap();
    project.init().await;
    assert!(project.file().contains("# table = \"crm.client\""), "{}", project.file());
    project.take_all_and_run().await;

    std::fs::remove_file(project.path().join("instant.toml")).unwrap();
    std::fs::rename(project.path().join("manage.py"), project.path().join("elsewhere.py")).unwrap();
    let said = project.instant(&["init"]).await;
    assert!(said.contains("found in the database"), "{said}");
    let file = project.file();
    for place in ["crm.client", "crm_restaurant", "measured", "audit", "shop_customer"] {
        assert!(
            file.contains(&format!("# table = \"{place}\"\n")),
            "{place} is not in\n{file}"
        );
    }
    for not in ["measured_now", "keyless", "django_session", "instant.outbox", "auth_user\""] {
        assert!(!file.contains(not), "{not} is in\n{file}");
    }
    assert!(file.contains("target = { user = \"owner_id\" }"), "{file}");
}
