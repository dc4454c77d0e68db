import assert from "node:assert/strict";
import { test } from "node:test";
import { endpoint, ways } from "../src/endpoint";

test("without an address it is the script's own server", () => {
  assert.equal(endpoint(undefined, "http://localhost:8001/instant.js"), "ws://localhost:8001/connection/websocket");
  assert.equal(endpoint("", "https://shop.example/static/instant.js?v=1"), "wss://shop.example/connection/websocket");
});

test("an address is used as given, and one without a path gets the usual one", () => {
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

test("a bundle that was not loaded over the network needs an address", () => {
  assert.throws(() => endpoint(undefined, "file:///srv/app.mjs"), /: set url$/);
});

test("plain HTTP is the fallback for networks without WebSockets, only to the page's own origin", () => {
  const address = "wss://shop.example/live/connection/websocket";
  assert.deepEqual(ways(address, "https://shop.example"), {
    transports: [
      { transport: "websocket", endpoint: address },
      { transport: "http_stream", endpoint: "https://shop.example/live/connection/http_stream" },
      { transport: "sse", endpoint: "https://shop.example/live/connection/sse" },
    ],
    emulationEndpoint: "https://shop.example/live/emulation",
  });
  assert.equal(ways(address, "https://other.example"), address);
  assert.equal(ways(address, "http://shop.example"), address);
  assert.equal(ways(address, undefined), address);
  assert.equal(ways("wss://shop.example/elsewhere", "https://shop.example"), "wss://shop.example/elsewhere");
});
