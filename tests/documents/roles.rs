//! `docs/how-to/roles.md`: three roles on a cluster of their own, and what each may do.

use serde_json::json;

use super::lesson::Lesson;
use crate::support::centrifugo::Centrifugo;
use crate::support::postgres::{Cluster, connect};
use crate::support::site::Browser;
use crate::support::wait::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_installs_a_relay_reads_the_outbox_alone_and_the_application_writes_as_before() {
    let cluster = Cluster::start_new(18, &[]).await;
    let database = cluster.database().await;
    let admin = database.connect().await;
    // What Django's migrations need, and no more.
    let own = "create role shop_owner login; grant create on schema public to shop_owner";
    admin.batch_execute(own).await.unwrap();
    let mut lesson = Lesson::of("docs/how-to/roles.md");
    lesson.copy_project();
    for role in ["shop_owner", "shop_app", "shop_relay"] {
        lesson.replace(&format!("postgres://{role}@localhost/shop"), &database.url_as(role));
    }
    lesson.replace("database shop ", &format!("database {} ", database.name));
    let port = lesson.port(8001);
    lesson.set("DJANGO_SECRET_KEY", "a key for tests and demos");
    lesson.set("DATABASE_URL", &database.url_as("shop_owner"));
    lesson.sh("python manage.py migrate -v 0").await;
    lesson
        .python("from shop.models import *; Order.objects.create(number='17', customer=Customer.objects.create(name='Ada'))")
        .await;
    let owner = connect(&database.url_as("shop_owner")).await;

    admin.batch_execute(&lesson.take("sql")).await.unwrap();
    owner.batch_execute(&lesson.take("sql")).await.unwrap();
    lesson.write_files();
    lesson.set("DATABASE_URL", &database.url_as("shop_relay"));
    let said = lesson.try_run().await;
    assert!(said.contains("create trigger") && said.contains("lock"), "{said}");
    lesson.run().await;
    let said = lesson.run().await;
    lesson.shows(&said);
    let relay = lesson.start();
    relay.line("leading", SOON).await;
    let hub = Centrifugo::at(&format!("http://127.0.0.1:{port}"), "");
    let mut page = Browser::of_page(&hub, "https://shop.example", "", json!({})).await.unwrap();

    let said = lesson.try_run().await;
    lesson.shows(&said);
    assert_eq!(page.next().await.unwrap().1["message"], "Ada: paid");
    let said = lesson.try_run().await;
    lesson.shows(&said);
    assert_eq!(said.matches("ERROR").count(), 3, "{said}");

    owner.batch_execute(&lesson.take("sql")).await.unwrap();
    let application = connect(&database.url_as("shop_app")).await;
    application.batch_execute("select instant.broadcast('hello')").await.unwrap();
    assert_eq!(page.next().await.unwrap().1["message"], "hello");
    drop(relay);
    let said = lesson.run().await;
    assert!(said.contains("nothing of Instant is left"), "{said}");
    lesson.finish();
}
