/** Where Centrifugo and the hub take WebSockets. */
const PATH = "/connection/websocket";

/** The WebSocket's address: `url`, which may be relative to the page, or that of the server that `own`, this code, comes from. */
export function endpoint(url: string | undefined, own: string | undefined): string {
  const found = url ? new URL(url, globalThis.document?.baseURI) : new URL(PATH, own);
  if (!/^(https?|wss?):$/.test(found.protocol)) {
    throw new TypeError(`instant: cannot connect to ${found.href}: say where with url`);
  }
  found.protocol = found.protocol.replace("http", "ws");
  if (found.pathname === "/") {
    found.pathname = PATH;
  }
  return found.href;
}
