//! The tutorial, from its first snippet to its last: a new Django project, PostgreSQL, `instant dev`, and the pages in browsers.

use std::path::Path;

use super::lesson::Lesson;
use crate::client::page::{chromium, is_clean};
use crate::support::postgres;
use crate::support::process::Process;
use crate::support::wait::SOON;

/// The names for orders that a reader's shell keeps from earlier pieces.
const OF_ORDERS: &str = "
from django.contrib.auth.models import User
from shop.models import Order
ada, bob = User.objects.get(username='ada'), User.objects.get(username='bob')
order = Order.objects.get(number='17')
";
/// The same for the room.
const OF_ROOMS: &str = "
from django.contrib.auth.models import User
from chat.models import Membership, Message, Room
ada, bob = User.objects.get(username='ada'), User.objects.get(username='bob')
tea = Room.objects.get()
";

/// The reader of the tutorial.
struct Reader<'a> {
    lesson: Lesson,
    chromium: &'a Path,
    /// The URL of Django.
    port: u16,
    server: Option<Process>,
    ada: String,
    bob: String,
}

impl Reader<'_> {
    /// Runs the next piece of Python in a shell that already has some names.
    async fn shell(&mut self, known: &str) {
        let piece = self.lesson.take("python");
        self.lesson.python(&format!("{known}{piece}")).await;
    }

    /// Opens a page, and waits until it is connected.
    async fn open(&self, path: &str, session: &str) -> Process {
        let url = format!("http://127.0.0.1:{}/{path}", self.port);
        let page = self.lesson.visit(self.chromium, &url, session);
        page.line("page: ready", SOON * 2).await;
        page
    }

    /// Starts or restarts Django's server, which does not reload changed files here.
    async fn serve(&mut self) {
        drop(self.server.take());
        self.server = Some(self.lesson.serve(self.port).await);
    }

    /// Follows the page to a plain site with its first order, and starts Django's server.
    async fn make_the_site(&mut self) {
        self.lesson.exports();
        self.lesson.run().await;
        self.lesson.write_files();
        self.lesson.run().await;
        self.shell("").await;
        let command = self.lesson.take("sh");
        assert_eq!(command.trim(), "python manage.py runserver");
        self.serve().await;
        self.ada = self.lesson.session("ada").await;
        self.bob = self.lesson.session("bob").await;
        let request = reqwest::Client::new().get(format!("http://127.0.0.1:{}/", self.port));
        let answer = request
            .header("Cookie", format!("sessionid={}", self.ada))
            .send()
            .await
            .unwrap();
        let page = answer.text().await.unwrap();
        assert!(page.contains("16: placed") && page.contains("Orders of ada"), "{page}");
    }

    /// Follows the page to orders that update in their customers' pages.
    async fn move_orders(&mut self) -> Process {
        let said = self.lesson.run().await;
        assert!(said.contains("instant.toml"), "{said}");
        self.lesson.write_files();
        let said = self.lesson.run().await;
        assert!(said.contains("no errors") && !said.contains("warning"), "{said}");
        let dev = self.lesson.start();
        dev.line("waiting for changes", SOON).await;
        self.lesson.shows(&dev.output());
        self.lesson.write_files();
        self.serve().await;
        let (ada, bob) = (self.open("", &self.ada).await, self.open("", &self.bob).await);
        self.shell("").await;
        ada.line("text: 16: placed 17: paid", SOON).await;
        dev.line("update", SOON).await;
        self.lesson.shows(&dev.output());
        self.shell("from shop.models import Order\n").await;
        ada.line("17: packed", SOON).await;
        self.lesson.run().await;
        ada.line("17: sent", SOON).await;
        assert!(!bob.output().contains("17:"), "{}", bob.output());
        self.shell(OF_ORDERS).await;
        bob.line("text: 17: sent", SOON).await;
        dev.line("→ #1  \"Order left\"", SOON).await;
        self.shell(OF_ORDERS).await;
        self.lesson
            .python(&format!("{OF_ORDERS}Order.objects.create(number='19', customer=ada)"))
            .await;
        // Order 18 was rolled back, and 17 is another's.
        ada.line("text: 16: placed 19: placed", SOON).await;
        assert!(!ada.output().contains("18:"), "{}", ada.output());
        for page in [&ada, &bob] {
            is_clean(page);
        }
        dev
    }

    /// Follows the page to a room whose channel has history.
    async fn talk(&mut self, dev: &Process) {
        self.lesson.run().await;
        self.lesson.write_files();
        self.lesson.run().await;
        self.lesson.write_files();
        dev.line("read again", SOON).await;
        self.lesson.shows(&dev.output());
        self.serve().await;
        self.shell("").await;
        dev.line("\"said\"", SOON).await;
        let (ada, bob) = (self.open("room/1/", &self.ada).await, self.open("room/1/", &self.bob).await);
        for page in [&ada, &bob] {
            page.line("bob: The kettle is on", SOON).await;
        }
        self.lesson
            .python(&format!(
                "{OF_ROOMS}Message.objects.create(room=tea, author=ada, text='At last')"
            ))
            .await;
        for page in [&ada, &bob] {
            page.line("bob: The kettle is on ada: At last", SOON).await;
        }
        let piece = self.lesson.take("python");
        let (out, sugars) = piece.split_once('\n').unwrap();
        self.lesson.python(&format!("{OF_ROOMS}{out}")).await;
        ada.line("error:", SOON).await;
        self.lesson.python(&format!("{OF_ROOMS}{sugars}")).await;
        bob.line("Ada takes two sugars", SOON).await;
        assert!(!ada.output().contains("sugars"), "{}", ada.output());
        let said = self.lesson.try_run().await;
        self.lesson.shows(&said);
    }

    /// Follows the page to a badge for visitors.
    async fn show_a_badge(&mut self) {
        self.lesson.write_files();
        self.lesson.run().await;
        self.lesson.write_files();
        self.serve().await;
        let visitor = self.open("products/", "").await;
        self.shell("").await;
        visitor.line("2 new", SOON).await;
        is_clean(&visitor);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_leads_from_an_empty_folder_to_pages_that_move() {
    let Some(chromium) = chromium() else { return };
    let database = postgres::database(18).await;
    let mut lesson = Lesson::of("docs/tutorial.md");
    lesson.replace("postgres://postgres@localhost/lesson", &database.url);
    let port = lesson.port(8000);
    lesson.port(8001);
    let mut reader = Reader {
        lesson,
        chromium: &chromium,
        port,
        server: None,
        ada: String::new(),
        bob: String::new(),
    };
    reader.make_the_site().await;
    let mut dev = reader.move_orders().await;
    reader.talk(&dev).await;
    reader.show_a_badge().await;
    dev.signal("INT").await;
    assert!(dev.wait(SOON).await.success(), "{}", dev.output());
    let said = reader.lesson.run().await;
    assert!(said.contains("nothing of Instant is left"), "{said}");
    reader.lesson.finish();
}
