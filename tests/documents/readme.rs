//! The README, followed word for word in a copy of the test project.

use serde_json::Value;
use toml::Table;

use super::lesson::Lesson;
use crate::client::page::{chromium, is_clean};
use crate::support::postgres::{self, Database};
use crate::support::process::Process;
use crate::support::wait::SOON;

/// The users of the pages: a member of staff, and the customer of the order.
const PEOPLE: &str = "
from django.contrib.auth.models import User
User.objects.create_user('ada')
User.objects.create_user('eve', is_staff=True)
";

/// A copy of the project in the reader's folder. Its orders belong to users, as those of the README do.
fn copy_project(lesson: &Lesson) {
    lesson.copy_project();
    let models = lesson.folder().join("shop/models.py");
    let text = std::fs::read_to_string(&models).unwrap();
    let (theirs, ours) = (
        "    customer = models.ForeignKey(Customer, ",
        "    customer = models.ForeignKey(User, ",
    );
    assert!(text.contains(theirs), "the project's orders have another customer");
    std::fs::write(models, text.replacen(theirs, ours, 1)).unwrap();
}

/// What `init` proposes for orders, without the `#`, contains what the README's file does.
fn proposal_fits(proposal: &str, readme: &str) {
    let (_, rest) = proposal.split_once("# model = \"shop.Order\"").expect("orders are proposed");
    let watch = rest.split("# [[watch]]").next().unwrap();
    let taken: Vec<&str> = watch.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    let taken: Table = toml::from_str(&format!("[[watch]]\n{}", taken.join("\n"))).unwrap();
    let readme: Table = toml::from_str(readme).unwrap();
    let names = |table: &Table| -> Vec<String> {
        let fields = table["watch"][0]["fields"].as_array().unwrap();
        fields.iter().map(|field| field.as_str().unwrap().to_owned()).collect()
    };
    for name in names(&readme) {
        assert!(names(&taken).contains(&name), "{name} is not proposed: {taken}");
    }
    let targets = |table: &Table| -> Vec<String> {
        let rules = table["watch"][0]["rule"].as_array().unwrap();
        rules.iter().map(|rule| rule["target"].to_string()).collect()
    };
    assert_eq!(targets(&taken), targets(&readme));
}

/// Opens the page of a template with this in its body.
async fn open(lesson: &Lesson, name: &str, body: &str, (port, session): (u16, &str)) -> Option<Process> {
    let chromium = chromium()?;
    std::fs::create_dir_all(lesson.folder().join("pages")).unwrap();
    let html = format!("<!doctype html><meta charset=utf-8><link rel=icon href='data:,'>{body}");
    std::fs::write(lesson.folder().join("pages").join(name), html).unwrap();
    let page = lesson.visit(&chromium, &format!("http://127.0.0.1:{port}/pages/{name}"), session);
    page.line("page: ready", SOON * 2).await;
    Some(page)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_leads_from_a_project_to_a_page_that_hears_each_write_and_what_is_sent_by_hand() {
    let database: Database = postgres::database(18).await;
    let mut lesson = Lesson::of("README.md");
    lesson.set("DATABASE_URL", &database.url);
    lesson.set("DJANGO_SECRET_KEY", "a key for tests and demos");
    copy_project(&lesson);
    lesson
        .sh("python manage.py makemigrations -v 0 && python manage.py migrate -v 0")
        .await;
    lesson.python(PEOPLE).await;
    lesson.pass("sh", "the demo has tests of its own");

    lesson.pass("sh", "the binary under test is on the search path");
    let said = lesson.run().await;
    assert!(said.contains("instant check --db"), "{said}");
    let file = lesson.folder().join("instant.toml");
    let proposal = std::fs::read_to_string(&file).unwrap();
    let pages = lesson.port(8000);
    lesson.port(8001);
    lesson.write_files();
    let readme = std::fs::read_to_string(&file).unwrap();
    proposal_fits(&proposal, &readme);
    assert!(lesson.sh("instant check --db").await.contains("no errors"));
    let dev = lesson.start();
    dev.line("waiting for changes", SOON).await;
    let _server = lesson.serve(pages).await;

    let body = lesson.take("html");
    let tag = dev.line("<script", SOON).await;
    let (_, tag) = tag.split_once(' ').unwrap();
    assert!(body.starts_with(tag.trim()), "{tag}\n{body}");
    let [ada, eve] = [lesson.session("ada").await, lesson.session("eve").await];
    let Some(staff) = open(&lesson, "staff.html", &body, (pages, &eve)).await else {
        return;
    };
    let customer = open(&lesson, "customer.html", &body, (pages, &ada)).await.unwrap();

    lesson.run().await;
    staff.line("console: Order 1 draft staff", SOON).await;
    staff.line("console: Order 1 paid staff", SOON).await;
    customer.line("console: Your order 17 is paid", SOON).await;
    dev.line("shop.Order 1 update → #1  \"order_status\"", SOON).await;
    for page in [&staff, &customer] {
        is_clean(page);
    }
    assert!(!customer.output().contains("staff"), "{}", customer.output());

    let more = lesson.take("toml");
    let with_centrifugo = format!("{readme}{more}");
    std::fs::write(lesson.folder().join("centrifugo.toml"), with_centrifugo).unwrap();
    lesson.set("CENTRIFUGO_API_KEY", "key");
    lesson.sh("instant check --config centrifugo.toml").await;
    let made = lesson.sh("instant gen centrifugo --config centrifugo.toml").await;
    assert!(made.contains("\"port\": 8002"), "{made}");

    let code = lesson.take("python");
    let script = format!("{tag}<script>{}</script>", lesson.take("js"));
    let staff = open(&lesson, "hand.html", &script, (pages, &eve)).await.unwrap();
    let customer = open(&lesson, "hand2.html", &script, (pages, &ada)).await.unwrap();
    lesson.python(&code).await;
    staff.line("console: Shop, public: Message for everyone", SOON).await;
    staff.line("console: Message for staff value1 2", SOON).await;
    customer.line("console: Shop, public: Message for everyone", SOON).await;
    assert!(!customer.output().contains("for staff"), "{}", customer.output());

    let event: Value = serde_json::from_str(&lesson.take("json")).unwrap();
    assert_eq!(
        event["event_class"], "Order edited",
        "its fields are compared in the reference of events"
    );
    lesson.finish();
}
