//! Django's way: a `post_save` signal that publishes each object with a request, over a persistent connection.

use std::time::Duration;

use super::API_KEY;
use crate::latency::{Commit, mark};
use crate::support::centrifugo::Centrifugo;
use crate::support::django::Session;
use crate::support::postgres::Database;

const CODE: &str = "
import datetime, http.client, time
from django.db.models.signals import post_save

class BenchOrder(models.Model):
    id = models.BigIntegerField(primary_key=True)
    status = models.TextField()
    total = models.DecimalField(max_digits=12, decimal_places=2)
    customer_id = models.BigIntegerField()

    class Meta:
        app_label, managed, db_table = 'shop', False, 'bench_order'

link = http.client.HTTPConnection('127.0.0.1', PORT)
link.connect()
committed = []

def publish(sender, instance, **kwargs):
    committed.append(time.time_ns() // 1000)
    data = {'status': instance.status, 'total': str(instance.total), 'customer_id': instance.customer_id}
    event = {'event_class': 'order_changed', 'message': 'Your order has changed', 'channel': 'public', 'site': 'Shop',
             'data': data, 'id': f'{instance.pk}-{len(committed)}', 'at': datetime.datetime.now(datetime.UTC).isoformat(),
             'model': 'bench_order', 'op': 'update', 'pk': instance.pk}
    body = json.dumps({'channel': 'public', 'data': event})
    link.request('POST', '/api/publish', body, {'X-API-Key': KEY})
    link.getresponse().read()

order = BenchOrder.objects.get(pk=1)
order.save(update_fields=['status'])
post_save.connect(publish, sender=BenchOrder)
begin = time.monotonic() + 0.1
for number, mark in enumerate(MARKS):
    time.sleep(max(0, begin + number / RATE - time.monotonic()))
    order.status = mark
    order.save(update_fields=['status'])
print(json.dumps(committed))
";

/// Saves an object at this pace; returns when each save was committed, in order.
pub(crate) async fn write(database: &Database, server: &Centrifugo, rate: u32, duration: Duration) -> Vec<Commit> {
    let count = (f64::from(rate) * duration.as_secs_f64()).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundred")]
    let (numbers, marks): (Vec<u64>, Vec<String>) = (0..count as usize).map(|_| mark()).unzip();
    let port = server.url.rsplit(':').next().unwrap();
    let names = format!(
        "PORT, KEY, RATE = {port}, '{API_KEY}', {rate}\nMARKS = {}\n",
        serde_json::json!(marks)
    );
    let printed = Session::new(&database.url).run(&format!("{names}{CODE}")).await;
    let committed: Vec<u64> = serde_json::from_str(&printed).unwrap();
    let commits = numbers.into_iter().zip(committed);
    commits.map(|(number, at)| Commit { number, at }).collect()
}
