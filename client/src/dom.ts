/** The DOM event of an event class: `Order edited` is `instant:order-edited`. None where the class has no letter and no digit. */
export function eventName(eventClass: string): string | undefined {
  const words = eventClass.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu);
  return words ? `instant:${words.join("-")}` : undefined;
}

/** Dispatches a DOM event on the page's body, from where it bubbles. Outside of a page nothing happens. */
export function dispatch(name: string, detail: unknown): void {
  // What a listener throws is reported by the browser, and reaches nobody else.
  globalThis.document?.body?.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
}
