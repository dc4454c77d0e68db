import type { TransportEndpoint } from "centrifuge";

/** Where Centrifugo and the hub accept WebSockets. */
const PATH = "/connection/websocket";

/** The WebSocket's address: `url`, which may be relative to the page, or the server that this code was loaded from (`own`). */
export function endpoint(url: string | undefined, own: string | undefined): string {
  const found = url ? new URL(url, globalThis.document?.baseURI) : new URL(PATH, own);
  if (!/^(https?|wss?):$/.test(found.protocol)) {
    throw new TypeError(`instant: cannot connect to ${found.href}: set url`);
  }
  found.protocol = found.protocol.replace("http", "ws");
  if (found.pathname === "/") {
    found.pathname = PATH;
  }
  return found.href;
}

/** Ways to connect, in the order in which they are tried. */
export interface Ways {
  transports: TransportEndpoint[];
  emulationEndpoint: string;
}

/**
 * The WebSocket at `address`, and plain HTTP for networks that block WebSockets. The latter only to the page's own origin: browsers send
 * no cookie to another one, and the user would be anonymous there.
 */
export function ways(address: string, page: string | undefined): string | Ways {
  const url = new URL(address);
  url.protocol = url.protocol.replace("ws", "http");
  if (url.origin !== page || !url.pathname.endsWith(PATH)) {
    return address;
  }
  const base = url.href.slice(0, url.href.lastIndexOf(PATH));
  return {
    transports: [
      { transport: "websocket", endpoint: address },
      { transport: "http_stream", endpoint: `${base}/connection/http_stream` },
      { transport: "sse", endpoint: `${base}/connection/sse` },
    ],
    emulationEndpoint: `${base}/emulation`,
  };
}
