import assert from "node:assert/strict";
import { test } from "node:test";
import { endpoint } from "../src/endpoint";

test("without an address it is the server of the script", () => {
  assert.equal(endpoint(undefined, "http://localhost:8001/instant.js"), "ws://localhost:8001/connection/websocket");
  assert.equal(endpoint("", "https://shop.example/static/instant.js?v=1"), "wss://shop.example/connection/websocket");
});

test("an address is taken as it stands, and one without a path gets the usual one", () => {
  const own = "http://localhost:8001/instant.js";
  for (const [url, expected] of [
    ["wss://push.example/connection/websocket", "wss://push.example/connection/websocket"],
    ["https://push.example", "wss://push.example/connection/websocket"],
    ["ws://localhost:8000/", "ws://localhost:8000/connection/websocket"],
    ["https://push.example/own/path?a=b", "wss://push.example/own/path?a=b"],
  ] as const) {
    assert.equal(endpoint(url, own), expected);
  }
});

test("a bundle that was loaded from nowhere on the network must be told", () => {
  assert.throws(() => endpoint(undefined, "file:///srv/app.mjs"), /say where with url/);
});
