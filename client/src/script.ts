// What `instant.js` does: a global `instant`, which connects by itself, as the attributes of the script's tag say.
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

/** Once the page's own scripts have run, so that handlers are there before the first event. */
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

// The tag may be in the page twice, or be run again when a part of the page is replaced. An element whose id is `instant` is a global
// of that name too, but not what is meant.
if (typeof window.instant?.onGap !== "function") {
  const chosen = options(script?.dataset ?? {});
  const client = new Client(chosen, script?.src || document.baseURI);
  window.instant = client;
  if (!chosen.manual) {
    afterThePage(() => client.connect());
  }
}
