import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { Gap } from "../src/api";
import { Gaps } from "../src/gaps";

test("gaps that occur together are reported once, with each channel and reason once", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const told: Gap[] = [];
  const gaps = new Gaps((gap) => told.push(gap));
  gaps.note("reconnect", "public");
  gaps.note("reconnect", "staff");
  mock.timers.tick(50);
  gaps.note("recovery", "room:1");
  gaps.note("resync", "public");
  assert.deepEqual(told, []);
  mock.timers.tick(50);
  const first = { channels: ["public", "staff", "room:1"], reasons: ["reconnect", "recovery", "resync"] };
  assert.deepEqual(told, [first]);
  gaps.note("resync", "public");
  mock.timers.tick(100);
  assert.deepEqual(told, [first, { channels: ["public"], reasons: ["resync"] }]);
  mock.timers.reset();
});
