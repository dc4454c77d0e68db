// The entry point of `instant.js`: a global `instant`, which connects by itself, as configured by the attributes of the script's tag.
import type { Instant, Options } from "./api";
import { Client } from "./client";

declare global {
  interface Window {
    instant?: Instant;
  }
}

const script = document.currentScript as HTMLScriptElement | null;

function options({ url, token, tokenUrl, channels, manual }: DOMStringMap): Options {
  return {
    ...(url === undefined ? {} : { url }),
    ...(token === undefined ? {} : { token }),
    ...(tokenUrl === undefined ? {} : { tokenUrl }),
    channels: channels?.split(/[\s,]+/).filter(Boolean) ?? [],
    manual: manual !== undefined,
  };
}

/** Calls a function once the page's own scripts have run, so that handlers are registered before the first event. */
function afterThePage(call: () => void): void {
  if (document.readyState === "complete") {
    call();
    return;
  }
  // A script that was loaded late may have missed the first of these.
  const first = new AbortController();
  const soon = () => {
    first.abort();
    setTimeout(call);
  };
  document.addEventListener("DOMContentLoaded", soon, { signal: first.signal });
  addEventListener("load", soon, { signal: first.signal });
}

// The tag may be in the page twice, or run again when a part of the page is replaced. An element whose id is `instant` is also a global
// of that name, but not a client.
if (typeof window.instant?.onGap !== "function") {
  const chosen = options(script?.dataset ?? {});
  const client = new Client(chosen, script?.src || document.baseURI);
  window.instant = client;
  if (!chosen.manual) {
    afterThePage(() => client.connect());
  }
}
