"""Tokens that end, with the official client: `tokens.py WS_URL SECRET`."""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time

from centrifuge import CentrifugeError, Client, ClientEventHandler, SubscriptionEventHandler

URL, SECRET = sys.argv[1:]


def encode(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(claims, seconds):
    claims = {**claims, "exp": int(time.time()) + seconds}
    signed = ".".join(encode(json.dumps(part).encode()) for part in [{"alg": "HS256", "typ": "JWT"}, claims])
    return f"{signed}.{encode(hmac.digest(SECRET.encode(), signed.encode(), hashlib.sha256))}"


def say(what, value=None):
    print(what, json.dumps(value), flush=True)


class Tokens:
    """Hands out tokens that live for these seconds, one after the other, and tells when the last is taken."""

    def __init__(self, claims, *lives):
        self.claims, self.lives, self.taken = claims, list(lives), asyncio.Event()

    async def __call__(self, *_):
        life = self.lives.pop(0)
        if not self.lives:
            self.taken.set()
        return sign(self.claims, life)


class Events(ClientEventHandler, SubscriptionEventHandler):
    """Remembers interruptions, and the end."""

    def __init__(self):
        self.connecting, self.ended = 0, asyncio.get_running_loop().create_future()

    async def on_connecting(self, context):
        self.connecting += 1

    async def on_disconnected(self, context):
        if not self.ended.done():
            self.ended.set_result(context.code)


async def main():
    events, tokens = Events(), Tokens({"sub": "1"}, 2, 3600)
    client = Client(URL, events=events, get_token=tokens)
    await client.connect()
    await client.ready(20)
    await asyncio.wait_for(tokens.taken.wait(), 20)
    try:
        await client.rpc("x", {})
    except CentrifugeError as error:
        say("still there", error.code)
    say("connecting", events.connecting)

    tokens = Tokens({"sub": "1", "channel": "room:9"}, 2, 3600)
    room = client.new_subscription("room:9", get_token=tokens)
    await room.subscribe()
    await room.ready(20)
    await asyncio.wait_for(tokens.taken.wait(), 20)
    await room.history(limit=1)
    say("subscribed still", str(room.state))

    events = Events()
    other = Client(URL, events=events, get_token=Tokens({"sub": "1"}, 3600))
    await other.connect()
    await other.new_subscription("room:8", token=sign({"sub": "2", "channel": "room:8"}, 3600)).subscribe()
    say("a foreign token", await asyncio.wait_for(events.ended, 20))


asyncio.run(main())
