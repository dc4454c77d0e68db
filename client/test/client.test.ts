import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "../src/client";
import { toEvent } from "../src/event";
import { Hub, settle } from "./hub";

// It never connects: publications are handed to it as the official client does.
function client(): Client {
  return new Client({ url: "ws://127.0.0.1:1" }, undefined);
}

const EVENT = { event_class: "a", data: { n: 1 }, id: "7-1-0" };

test("an event that arrives again is delivered once, in each of its channels", () => {
  const instant = client();
  const heard: string[] = [];
  instant.on("*", ({ channel, id }) => heard.push(`${channel} ${id}`));
  for (const channel of ["public", "public", "staff", "public"]) {
    instant.receive({ channel, data: EVENT });
  }
  assert.deepEqual(heard, ["public 7-1-0", "staff 7-1-0"]);
});

test("a publication without an id is delivered as often as it arrives", () => {
  const instant = client();
  let calls = 0;
  instant.on("a", () => calls++);
  instant.receive({ channel: "public", data: { event_class: "a" } });
  instant.receive({ channel: "public", data: { event_class: "a" } });
  assert.equal(calls, 2);
});

test("another client can neither use up an event's id nor make pages reload", () => {
  const instant = client();
  const heard: unknown[] = [];
  instant.on("*", ({ event_class }) => heard.push(event_class));
  const info = { client: "c", user: "2" };
  instant.receive({ channel: "room:1", data: EVENT, info });
  instant.receive({ channel: "room:1", data: { event_class: "instant.resync", id: "lost-1" }, info });
  instant.receive({ channel: "room:1", data: EVENT });
  assert.deepEqual(heard, ["a", "instant.resync", "a"]);
});

test("a resync is a gap and not an event", async () => {
  const instant = client();
  const heard: unknown[] = [];
  instant.on("*", ({ event_class }) => heard.push(event_class));
  const gap = new Promise((resolve) => instant.onGap(resolve));
  instant.receive({ channel: "staff", data: { event_class: "instant.resync", id: "lost-3", data: {} } });
  assert.deepEqual(await gap, { channels: ["staff"], reasons: ["resync"] });
  assert.deepEqual(heard, []);
});

test("a channel that could not continue without a gap reports it, and one that could does not", async () => {
  const instant = client();
  const context = { recoverable: true, positioned: true, hasRecoveredPublications: false };
  for (const channel of ["fresh", "public", "room:1", "room:2"]) {
    instant.subscribed({ ...context, channel, wasRecovering: false, recovered: false });
  }
  instant.subscribed({ ...context, channel: "public", wasRecovering: false, recovered: false });
  instant.subscribed({ ...context, channel: "room:1", wasRecovering: true, recovered: true });
  instant.subscribed({ ...context, channel: "room:2", wasRecovering: true, recovered: false });
  const gap = await new Promise((resolve) => instant.onGap(resolve));
  assert.deepEqual(gap, { channels: ["public", "room:2"], reasons: ["reconnect", "recovery"] });
});

test("a page loads when it is connected, and again when a channel is subscribed for the first time, not after a recovery", async () => {
  const instant = client();
  let calls = 0;
  instant.load(() => calls++);
  const context = { recoverable: true, positioned: true, hasRecoveredPublications: false, wasRecovering: false, recovered: false };
  instant.centrifuge.emit("connected", { client: "c", transport: "websocket" });
  instant.subscribed({ ...context, channel: "public" });
  await settle();
  assert.equal(calls, 1);
  instant.subscribed({ ...context, channel: "room:1" });
  await settle();
  assert.equal(calls, 2);
  instant.subscribed({ ...context, channel: "room:1", wasRecovering: true, recovered: true });
  await settle();
  assert.equal(calls, 2);
});

test("a channel that is never subscribed keeps the first load waiting for two seconds", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const instant = client();
  let calls = 0;
  instant.load(() => calls++);
  instant.channel("room:1");
  instant.centrifuge.emit("connected", { client: "c", transport: "websocket" });
  await settle();
  assert.equal(calls, 0);
  context.mock.timers.tick(2_000);
  await settle();
  assert.equal(calls, 1);
});

test("no publication ends the connection, whatever it holds", async () => {
  const hub = new Hub();
  hub.served = ["public"];
  const instant = client();
  instant.onError(() => {});
  const heard: string[] = [];
  instant.on("*", ({ event_class }) => heard.push(event_class));
  instant.connect();
  await instant.ready();
  const odd = { toString: 0, valueOf: 0 };
  for (const data of [{ event_class: odd }, { event_class: "a", id: odd, message: odd }, { event_class: "b" }]) {
    hub.publish("public", data);
    await settle();
  }
  assert.deepEqual(heard, ["default", "a", "b"]);
  assert.equal(instant.state, "connected");
  instant.disconnect();
});

test("an error while a publication is handled is reported and goes no further", () => {
  const instant = client();
  const errors: unknown[] = [];
  instant.onError((error) => errors.push(error));
  const data = {
    get event_class() {
      throw new Error("unreadable");
    },
  };
  instant.receive({ channel: "public", data });
  assert.deepEqual(errors.map(String), ["Error: unreadable"]);
});

test("a page that is already connected waits as long for its channels before it loads", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const hub = new Hub();
  hub.refused.set("room:1", 100);
  const instant = client();
  instant.onError(() => {});
  instant.connect();
  await settle();
  context.mock.timers.tick(3_000);
  instant.channel("room:1");
  let calls = 0;
  instant.load(() => calls++);
  await settle();
  assert.equal(calls, 0);
  context.mock.timers.tick(2_000);
  await settle();
  assert.equal(calls, 1);
  instant.disconnect();
});

test("a page without load functions is still notified when to load, once for all channels subscribed together", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const body = new EventTarget();
  Object.assign(globalThis, { document: { body } });
  context.after(() => Reflect.deleteProperty(globalThis, "document"));
  const told: string[] = [];
  ["instant-ready", "instant-gap"].forEach((name) => body.addEventListener(name, () => told.push(name)));
  const hub = new Hub();
  hub.served = ["public"];
  hub.refused.set("room:1", 100);
  const instant = client();
  instant.onError(() => {});
  instant.channel("room:1");
  instant.connect();
  await settle();
  assert.deepEqual(told, []);
  context.mock.timers.tick(2_000);
  await settle();
  assert.deepEqual(told, ["instant-ready"]);
  hub.refused.clear();
  context.mock.timers.tick(20_000);
  await settle();
  assert.deepEqual(told, ["instant-ready", "instant-ready"]);
  hub.served = ["public", "staff", "group.a"];
  hub.cut();
  await settle();
  context.mock.timers.tick(20_000);
  await settle();
  context.mock.timers.tick(100);
  assert.deepEqual(told, ["instant-ready", "instant-ready", "instant-ready", "instant-gap"]);
  instant.disconnect();
});

test("nothing waits for a channel that was left before it was subscribed", async () => {
  const hub = new Hub();
  hub.refused.set("room:1", 100);
  const instant = client();
  instant.onError(() => {});
  instant.connect();
  await instant.ready();
  const room = instant.channel("room:1");
  const waiting = [room.ready(), room.history(), room.presence(), room.publish("hello")];
  const ready = instant.ready();
  await settle();
  room.leave();
  waiting.push(room.ready());
  for (const promise of waiting) {
    await assert.rejects(promise, /room:1: left/);
  }
  await ready;
  instant.disconnect();
});

test("a channel that was left answers nothing more, although it was subscribed", async () => {
  const hub = new Hub();
  const instant = client();
  const room = instant.channel("room:1");
  instant.connect();
  await room.ready();
  room.leave();
  await settle();
  assert.deepEqual([...hub.heard], []);
  await assert.rejects(room.history(), /room:1: left/);
  instant.disconnect();
});

test("errors of handlers go to onError, and to the console if it has no listener or the listener itself throws", (context) => {
  const written: unknown[][] = [];
  context.mock.method(console, "error", (...values: unknown[]) => written.push(values));
  const instant = client();
  instant.on("a", () => {
    throw new Error("thrown");
  });
  instant.receive({ channel: "public", data: { event_class: "a" } });
  assert.deepEqual(written.map(String), ["instant:,Error: thrown"]);
  const errors: unknown[] = [];
  const off = instant.onError((error) => errors.push(error));
  instant.receive({ channel: "public", data: { event_class: "a" } });
  assert.deepEqual(errors.map(String), ["Error: thrown"]);
  assert.equal(written.length, 1);
  off();
  instant.onError(() => {
    throw new Error("the listener's own");
  });
  instant.receive({ channel: "public", data: { event_class: "a" } });
  assert.equal(String(written[1]), "instant:,Error: the listener's own");
});

test("a connection that has failed rejects everything that waits for its channels, also for later ones", async () => {
  const instant = client();
  instant.onError(() => {});
  const waiting = [instant.channel("room:1").ready(), instant.channel("room:1").history(), instant.ready()];
  instant.centrifuge.emit("disconnected", { code: 4501, reason: "not logged in" });
  waiting.push(instant.channel("room:2").ready());
  for (const promise of waiting) {
    await assert.rejects(promise, /not logged in \(4501\)/);
  }
});

test("an endpoint that answers anonymous and then refuses is not asked again and again", async (context) => {
  class Closed {
    onclose?: (event: unknown) => void;

    constructor() {
      setTimeout(() => this.onclose?.({ code: 1006, reason: "" }));
    }

    close(): void {}
  }
  Object.assign(globalThis, { WebSocket: Closed });
  context.after(() => Reflect.deleteProperty(globalThis, "WebSocket"));
  let asked = 0;
  context.mock.method(globalThis, "fetch", async () => {
    asked++;
    return asked > 20 ? new Promise(() => {}) : new Response(null, { status: asked === 1 ? 401 : 403 });
  });
  const instant = new Client({ url: "ws://127.0.0.1:1", tokenUrl: "http://127.0.0.1:1/token" }, undefined);
  instant.onError(() => {});
  const failed = new Promise<void>((resolve) => instant.onState((state) => state === "failed" && resolve()));
  instant.connect();
  await failed;
  assert.equal(asked, 2);
});

test("a channel that the page has requested continues when the server gives it, and when it no longer does", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const hub = new Hub();
  const instant = client();
  const errors: unknown[] = [];
  instant.onError((error) => errors.push(error));
  const heard: number[] = [];
  instant.on("*", ({ data }) => heard.push(data.n));
  const group = instant.channel("group.a");
  instant.connect();
  await settle();
  for (const [n, served] of [[1, []], [2, ["group.a"]], [3, ["group.a"]], [4, []], [5, ["group.a"]]] as const) {
    hub.served = [...served];
    hub.cut();
    await settle();
    context.mock.timers.tick(20_000);
    await settle();
    await group.ready();
    hub.publish("group.a", { event_class: "a", data: { n } });
    await settle();
    assert.equal(heard.at(-1), n);
  }
  assert.deepEqual(heard, [1, 2, 3, 4, 5]);
  assert.deepEqual(errors, []);
  instant.disconnect();
});

test("a channel's handlers receive only its events, and end when it is left", () => {
  const instant = client();
  const room = instant.channel("room:1");
  assert.equal(instant.channel("room:1"), room);
  const heard: string[] = [];
  room.on("*", ({ channel }) => heard.push(channel));
  instant.receive({ channel: "room:2", data: EVENT });
  instant.receive({ channel: "room:1", data: EVENT });
  room.leave();
  instant.receive({ channel: "room:1", data: { ...EVENT, id: "8-1-0" } });
  assert.deepEqual(heard, ["room:1"]);
  assert.notEqual(instant.channel("room:1"), room);
});

test("handlers get an event, not the publication that other code holds", () => {
  const publication = { event_class: "a", message: "m" };
  const event = toEvent("public", publication);
  event.message = "changed";
  assert.equal(publication.message, "m");
});
