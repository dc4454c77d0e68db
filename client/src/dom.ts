/** The DOM event of an event class: `Order edited` is `instant:order-edited`. Undefined if the class has no letter and no digit. */
export function eventName(eventClass: string): string | undefined {
  const words = eventClass.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu);
  return words ? `instant:${words.join("-")}` : undefined;
}

/** Dispatches a DOM event on the page's body, from where it bubbles. Does nothing outside of a page. */
export function dispatch(name: string, detail: unknown): void {
  // The browser reports what a listener throws; it does not reach the caller.
  globalThis.document?.body?.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
}
