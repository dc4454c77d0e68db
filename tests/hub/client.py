"""The official Python client against Centrifugo or the hub: `client.py WS_URL API_URL INSTANT_URL COOKIE ORIGIN`.

It prints one line for each thing that has happened, the same for both servers.
"""

import asyncio
import json
import sys
import urllib.request

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

URL, API, INSTANT, COOKIE, ORIGIN = sys.argv[1:]


def say(what, value=None):
    print(what, json.dumps(value, sort_keys=True), flush=True)


def post(url, headers, body=b""):
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method="POST")) as answer:
        return json.load(answer)


async def call(method, **body):
    headers = {"X-API-Key": "an api key", "Content-Type": "application/json"}
    return await asyncio.to_thread(post, f"{API}/api/{method}", headers, json.dumps(body).encode())


async def token():
    headers = {"Cookie": f"sessionid={COOKIE}", "Origin": ORIGIN}
    return (await asyncio.to_thread(post, f"{INSTANT}/token", headers))["token"]


class Events(ClientEventHandler, SubscriptionEventHandler):
    """Puts what happens into queues by its name."""

    def __init__(self):
        self.queues = {}

    def queue(self, name):
        return self.queues.setdefault(name, asyncio.Queue())

    async def next(self, name):
        return await asyncio.wait_for(self.queue(name).get(), 20)


for _name in ["connecting", "connected", "disconnected", "subscribed", "unsubscribed", "publication", "join", "leave", "error"]:

    async def _put(self, context, name=_name):
        self.queue(name).put_nowait(context)

    setattr(Events, f"on_{_name}", _put)


def client(**options):
    events = Events()
    return Client(URL, events=events, min_reconnect_delay=0.3, max_reconnect_delay=0.4, **options), events


async def main():
    first, events = client(get_token=token)
    await first.connect()
    await events.next("connected")
    channels = sorted([(await events.next("subscribed")).channel for _ in range(3)])
    await call("publish", channel="public", data={"hello": 1})
    heard = await events.next("publication")
    say("server-side", [channels, heard.channel, heard.pub.data])

    there = Events()
    room = first.new_subscription("room:1", events=there, recoverable=True, join_leave=True)
    await room.subscribe()
    subscribed = await there.next("subscribed")
    say("subscribed", [subscribed.recoverable, subscribed.positioned, subscribed.recovered, subscribed.was_recovering])
    say("join", (await there.next("join")).info.user)
    await room.publish({"by": "client"})
    heard = await there.next("publication")
    say("published", [heard.pub.data, heard.pub.offset, heard.pub.info.user])
    say("presence", [member.user for member in (await room.presence()).clients.values()])
    stats = await room.presence_stats()
    say("presence stats", [stats.num_clients, stats.num_users])
    history = await room.history(limit=10)
    say("history", [[(pub.data, pub.offset) for pub in history.publications], history.offset])

    second, others = client(get_token=token)
    await second.connect()
    other = second.new_subscription("room:1")
    await other.subscribe()
    say("join", (await there.next("join")).info.user)
    await other.unsubscribe()
    say("leave", (await there.next("leave")).info.user)
    await second.disconnect()
    say("disconnected", (await others.next("disconnected")).code)

    # A cut by the server, and what was missed meanwhile.
    await events.next("connecting")
    await call("disconnect", user="1", disconnect={"code": 4001, "reason": "again"})
    say("cut", (await events.next("connecting")).code)
    for number in [2, 3]:
        await call("publish", channel="room:1", data={"number": number})
    subscribed = await there.next("subscribed")
    missed = [await there.next("publication") for _ in range(2)]
    say("recovered", [subscribed.recovered, subscribed.was_recovering, [(m.pub.data, m.pub.offset) for m in missed]])

    # A cut, and more was missed than the history keeps.
    await call("disconnect", user="1", disconnect={"code": 4001, "reason": "again"})
    await events.next("connecting")
    for number in range(4, 14):
        await call("publish", channel="room:1", data={"number": number})
    subscribed = await there.next("subscribed")
    say("gap", [subscribed.recovered, subscribed.was_recovering, subscribed.stream_position.offset])

    for name in ["staff", "unknown:1", "$room:2"]:
        refused = Events()
        await first.new_subscription(name, events=refused).subscribe()
        say(name, (await refused.next("unsubscribed")).code)
    await call("unsubscribe", user="1", channel="room:1")
    say("unsubscribed", (await there.next("unsubscribed")).code)
    await call("disconnect", user="1")
    say("disconnected", (await events.next("disconnected")).code)

    forged, refused = client(token="a.b.c")
    await forged.connect()
    say("a forged token", (await refused.next("disconnected")).code)


asyncio.run(main())
