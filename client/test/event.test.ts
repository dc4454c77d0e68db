import assert from "node:assert/strict";
import { test } from "node:test";
import { eventName } from "../src/dom";
import { toEvent } from "../src/event";

test("an event keeps its fields, and those that it omits are empty", () => {
  const published = { event_class: "Order edited", message: "Order 17", channel: "staff", data: { status: "paid" }, id: "1-2-0", pk: 17 };
  assert.deepEqual(toEvent("staff", published), { ...published, site: "", bucket: "" });
  assert.deepEqual(toEvent("public", { event_class: "hello" }), {
    event_class: "hello",
    message: "",
    data: {},
    channel: "public",
    site: "",
    bucket: "",
  });
});

test("the channel is the one that an event arrived on, whatever the event itself contains", () => {
  assert.equal(toEvent("room:1", { event_class: "a", channel: "staff" }).channel, "room:1");
});

test("a publication that is not an event becomes one of the class default, with the whole of it as data", () => {
  for (const [publication, message] of [
    ["hello", "hello"],
    [[1, 2], ""],
    [null, ""],
    [{ status: "paid" }, ""],
    [7, ""],
    [{ event_class: 7, message: "seven" }, ""],
    [{ event_class: { toString: 0, valueOf: 0 } }, ""],
  ] as const) {
    const expected = { event_class: "default", message, data: publication, channel: "public", site: "", bucket: "" };
    assert.deepEqual(toEvent("public", publication), expected);
  }
});

test("the DOM event of a class has its letters and digits, in lower case, between dashes", () => {
  for (const [eventClass, name] of [
    ["Order edited", "instant:order-edited"],
    ["order_status", "instant:order-status"],
    ["__presence__", "instant:presence"],
    ["Log ERROR 500!", "instant:log-error-500"],
    ["Bestellung geändert", "instant:bestellung-geändert"],
    ["!?", undefined],
  ] as const) {
    assert.equal(eventName(eventClass), name);
  }
});
