//! `docs/hub.md`: the hub as the page enables it, with the official client, the API and `instant dev`.

use super::lesson::Lesson;
use crate::support::cache;
use crate::support::django::Django;
use crate::support::wait::SOON;

/// Defines `Centrifuge` in Node, which a page has loaded before.
const BEFORE: &str = "
import { createRequire } from 'node:module'
const require = createRequire('PACKAGES/package.json')
const { Centrifuge: Official } = require('centrifuge')
const WebSocket = require('ws')
class Centrifuge extends Official {
  constructor(url) {
    super(url, { websocket: WebSocket })
  }
}
";

const WATCH: &str = "
[[watch]]
model = 'shop.Order'
fields = ['number', 'status', 'customer']
[[watch.rule]]
on = 'update'
changed = 'status'
target = { user = 'customer' }
event_class = 'order_status'
";

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_is_turned_on_connected_to_and_asked_as_the_page_has_it() {
    let django = Django::on(18).await;
    let mut lesson = Lesson::of("docs/hub.md");
    let port = lesson.port(8001);
    // No proxy with TLS is in between here.
    lesson.replace("wss://shop.example/", &format!("ws://127.0.0.1:{port}/"));
    lesson.set("DJANGO_SECRET_KEY", "a key for tests and demos");
    let server = lesson.take("toml");
    let file = format!(
        "[database]\nurl = '{}'\n{server}[hub]\napi_key = 'a key'\n{WATCH}",
        django.database.url
    );
    std::fs::write(lesson.folder().join("instant.toml"), file).unwrap();
    let script = BEFORE.replace("PACKAGES", cache::path("client").to_str().unwrap()) + &lesson.take("js");
    std::fs::write(lesson.folder().join("page.mjs"), script).unwrap();

    let mut dev = lesson.begin("instant dev");
    dev.line("waiting for changes", SOON).await;
    let page = lesson.begin("node page.mjs");
    let shown = lesson.take("text");
    let (_, shown) = shown.split_once('\n').unwrap();
    django
        .run(
            "o = Order.objects.create(pk=17, number='17', customer=Customer.objects.create(pk=42))\n\
             o.status = 'paid'; o.save()\no.number = '18'; o.save()",
        )
        .await;
    dev.line("no field in `changed` has changed", SOON).await;
    lesson.printed(shown, &dev.output());
    lesson.set("KEY", "a key");
    let asked = lesson.take("sh");
    // The page connects at its own time.
    crate::support::wait::eventually(SOON, "the page to hear", async || {
        assert!(lesson.sh(&asked).await.contains("\"result\""));
        page.output().contains("public undefined").then_some(())
    })
    .await;
    dev.signal("INT").await;
    assert!(dev.wait(SOON).await.success());
    lesson.finish();
}
