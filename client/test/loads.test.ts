import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { InstantEvent } from "../src/api";
import { toEvent } from "../src/event";
import { Loads } from "../src/loads";
import { random } from "./random";

const event = (id: number | string) => toEvent("public", { event_class: "a", id: `${id}` });

const fail = (error: unknown) => assert.fail(`${error}`);

/** Runs everything that is ready to run. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("an event that arrives while the page loads is handled after the load", async () => {
  const done: string[] = [];
  const loads = new Loads(({ id }) => done.push(`${id}`), fail);
  let finish = () => {};
  loads.add(() => new Promise<void>((resolve) => (finish = resolve)).then(() => done.push("loaded")));
  loads.take(event("before"));
  loads.begin();
  await settle();
  loads.take(event("meanwhile"));
  loads.take(event("too"));
  assert.deepEqual(done, ["before"]);
  finish();
  await settle();
  loads.take(event("after"));
  assert.deepEqual(done, ["before", "loaded", "meanwhile", "too", "after"]);
});

test("a load runs once at the beginning, again after each gap, and not after off", async () => {
  let calls = 0;
  const loads = new Loads(() => {}, fail);
  const load = loads.add(() => calls++);
  loads.begin();
  await settle();
  loads.begin();
  await settle();
  assert.equal(calls, 1);
  loads.again();
  await settle();
  assert.equal(calls, 2);
  loads.again();
  load.off();
  await load();
  assert.equal(calls, 2);
});

test("a load called by hand before events arrive does not replace the first one", async () => {
  let calls = 0;
  const loads = new Loads(() => {}, fail);
  const load = loads.add(() => calls++);
  await load();
  loads.begin();
  await settle();
  assert.equal(calls, 2);
});

test("many events that each request a load cause few loads", async () => {
  let calls = 0;
  const loads = new Loads(() => void load(), fail);
  const load = loads.add(async () => {
    calls++;
    await settle();
  });
  for (let id = 0; id < 500; id++) {
    loads.take(event(id));
  }
  await load();
  await settle();
  assert.ok(calls <= 2, `${calls}`);
});

test("an error of a load is reported, and the events that waited for it are delivered", async () => {
  const done: unknown[] = [];
  const loads = new Loads(({ id }) => done.push(id), (error) => done.push(`${error}`));
  const load = loads.add(async () => {
    loads.take(event("meanwhile"));
    throw new Error("no list");
  });
  await load();
  assert.deepEqual(done, ["Error: no list", "meanwhile"]);
});

test("an event waits for ten seconds at most, however many loads follow each other", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const done: unknown[] = [];
  const loads = new Loads(({ id }) => done.push(id), (error) => done.push(`${error}`));
  const ends: (() => void)[] = [];
  const asks = [0, 1].map(() => loads.add(() => new Promise<void>((resolve) => ends.push(resolve))));
  asks[0]?.();
  await settle();
  loads.take(event("meanwhile"));
  mock.timers.tick(9_000);
  asks[1]?.();
  await settle();
  ends[0]?.();
  await settle();
  mock.timers.tick(999);
  assert.deepEqual(done, []);
  mock.timers.tick(1);
  const told = "Error: events continue after 10 s, although the page is still loading";
  assert.deepEqual(done, [told, "meanwhile"]);
  loads.take(event("after"));
  assert.deepEqual(done, [told, "meanwhile", "after"]);
  mock.timers.reset();
});

test("a load that ends after events have continued is repeated, and one that fails then is not", async () => {
  for (const hasFailed of [false, true]) {
    mock.timers.enable({ apis: ["setTimeout"] });
    const ends: (() => void)[] = [];
    const loads = new Loads(() => {}, () => {});
    loads.add(() => new Promise<void>((resolve, reject) => ends.push(hasFailed ? reject : resolve)));
    loads.begin();
    await settle();
    loads.take(event("meanwhile"));
    mock.timers.tick(10_000);
    ends[0]?.();
    await settle();
    assert.equal(ends.length, hasFailed ? 1 : 2);
    mock.timers.reset();
  }
});

test("whatever the network does, a page that loads and receives events ends up correct", async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const next = random(seed);
    const pause = async (most: number) => {
      for (let turns = next(most); turns > 0; turns--) {
        await settle();
      }
    };
    const rows = new Map<number, number>();
    const shown = new Map<number, number>();
    const show = ({ pk, data }: InstantEvent) => {
      if (data.value === null) {
        shown.delete(pk as number);
      } else {
        shown.set(pk as number, data.value);
      }
    };
    const loads = new Loads(show, fail);
    loads.add(async () => {
      await pause(3);
      const read = new Map(rows);
      await pause(3);
      shown.clear();
      read.forEach((value, pk) => shown.set(pk, value));
    });
    loads.begin();
    const underWay: Promise<void>[] = [];
    let delivered = Promise.resolve();
    for (let change = 0; change < 30; change++) {
      const pk = next(4);
      const value = next(3) === 0 ? null : change;
      if (value === null) {
        rows.delete(pk);
      } else {
        rows.set(pk, value);
      }
      const told = toEvent("public", { event_class: "a", pk, data: { value } });
      delivered = delivered.then(() => pause(2)).then(() => loads.take(told));
      underWay.push(delivered);
      if (next(8) === 0) {
        loads.again();
      }
      await pause(3);
    }
    await Promise.all(underWay);
    for (let turns = 0; turns < 20; turns++) {
      await settle();
    }
    assert.deepEqual([...shown].sort(), [...rows].sort(), `seed ${seed}`);
  }
});
