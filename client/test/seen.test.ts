import assert from "node:assert/strict";
import { test } from "node:test";
import { Seen } from "../src/seen";
import { random } from "./random";

test("a key is new only once, as long as it is among the latest", () => {
  const limit = 50;
  const seen = new Seen(limit);
  const next = random(7);
  const latest: string[] = [];
  for (let step = 0; step < 5000; step++) {
    const key = `${next(120)}`;
    const isNew = !latest.includes(key);
    assert.equal(seen.isNew(key), isNew, `step ${step}, key ${key}`);
    if (isNew) {
      latest.push(key);
      latest.splice(0, latest.length - limit);
    }
  }
});

test("memory is bounded, however many keys arrive", () => {
  const seen = new Seen(100);
  for (let key = 0; key < 100_000; key++) {
    seen.isNew(`${key}`);
    assert.ok(seen.size <= 100);
  }
});
