import type { InstantEvent, Load } from "./api";
import type { Report } from "./guard";

/** Milliseconds that an event waits for what is loaded. */
const PATIENCE = 10_000;

/** A function of the page that loads what it shows. */
interface Entry {
  call: () => unknown;
  /** The last load that has begun; one is under way at a time. */
  current: Promise<void>;
  /** The one that begins after it, if there is to be one. */
  next: Promise<void> | undefined;
  /** Whether one was asked for since events arrive. */
  isKnown: boolean;
}

/**
 * What the page loads. Events that come meanwhile wait until it is loaded: what a handler has shown of them would be replaced by what
 * may be older.
 */
export class Loads {
  readonly #entries = new Set<Entry>();
  /** Those under way for which events wait. */
  readonly #awaited = new Set<Entry>();
  #held: InstantEvent[] = [];
  /** Ends the patience of the first event that is held. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hasBegun = false;

  constructor(
    private readonly deliver: (event: InstantEvent) => void,
    private readonly report: Report,
  ) {}

  /** Whether something was loaded since events arrive. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  add(call: () => unknown): Load {
    const entry: Entry = { call, current: Promise.resolve(), next: undefined, isKnown: false };
    this.#entries.add(entry);
    return Object.assign(() => this.#ask(entry), { off: () => void this.#entries.delete(entry) });
  }

  /** Events arrive from now on: what has not been loaded since they do is. */
  begin(): void {
    this.#hasBegun = true;
    for (const entry of this.#entries) {
      if (!entry.isKnown) {
        entry.isKnown = true;
        this.#ask(entry);
      }
    }
  }

  /** Events may be missing: everything is loaded again. */
  again(): void {
    this.#entries.forEach((entry) => this.#ask(entry));
  }

  /** Hands an event on, or keeps it while something loads. */
  take(event: InstantEvent): void {
    if (this.#awaited.size === 0) {
      this.deliver(event);
      return;
    }
    this.#held.push(event);
    this.#timer ??= setTimeout(() => {
      this.report(new Error(`events go on after ${PATIENCE / 1000} s, although the page still loads`));
      this.#awaited.clear();
      this.#release();
    }, PATIENCE);
  }

  /** Whoever asks before a load begins shares it; one that is under way may have missed what it is asked for. */
  #ask(entry: Entry): Promise<void> {
    entry.next ??= entry.current.then(() => {
      entry.next = undefined;
      entry.current = this.#run(entry);
      return entry.current;
    });
    return entry.next;
  }

  async #run(entry: Entry): Promise<void> {
    if (!this.#entries.has(entry)) {
      return;
    }
    this.#awaited.add(entry);
    let hasLoaded = true;
    try {
      await entry.call();
    } catch (error) {
      hasLoaded = false;
      this.report(error);
    }
    const hasWaited = this.#awaited.delete(entry);
    if (hasLoaded && !hasWaited) {
      // Events went on before it, and what they have shown may be replaced now.
      this.#ask(entry);
    }
    if (this.#awaited.size === 0) {
      this.#release();
    }
  }

  /** Hands on all that is held at once: a load that one of these asks for begins later and knows of the others. */
  #release(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#held.splice(0).forEach(this.deliver);
  }
}
