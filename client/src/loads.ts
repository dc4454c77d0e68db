import type { InstantEvent, Load } from "./api";
import type { Report } from "./guard";

/** Milliseconds that an event waits for a load. */
const PATIENCE = 10_000;

/** A function of the page that loads what it shows. */
interface Entry {
  call: () => unknown;
  /** The last load that has begun; only one is under way at a time. */
  current: Promise<void>;
  /** The load that begins after it, if one was requested. */
  next: Promise<void> | undefined;
  /** Whether a load was requested since events began to arrive. */
  isKnown: boolean;
}

/**
 * The page's loads. Events that arrive meanwhile wait until a load has ended: what a handler has shown of them would be replaced by
 * possibly older data.
 */
export class Loads {
  readonly #entries = new Set<Entry>();
  /** The loads under way that events wait for. */
  readonly #awaited = new Set<Entry>();
  #held: InstantEvent[] = [];
  /** Expires when the first held event has waited long enough. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hasBegun = false;

  constructor(
    private readonly deliver: (event: InstantEvent) => void,
    private readonly report: Report,
  ) {}

  /** Whether loading has begun since events began to arrive. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  add(call: () => unknown): Load {
    const entry: Entry = { call, current: Promise.resolve(), next: undefined, isKnown: false };
    this.#entries.add(entry);
    return Object.assign(() => this.#ask(entry), { off: () => void this.#entries.delete(entry) });
  }

  /** Events arrive from now on: runs each load that was not yet requested since they do. */
  begin(): void {
    this.#hasBegun = true;
    for (const entry of this.#entries) {
      if (!entry.isKnown) {
        entry.isKnown = true;
        this.#ask(entry);
      }
    }
  }

  /** Events may be missing: reloads everything. */
  again(): void {
    this.#entries.forEach((entry) => this.#ask(entry));
  }

  /** Delivers an event, or holds it while something loads. */
  take(event: InstantEvent): void {
    if (this.#awaited.size === 0) {
      this.deliver(event);
      return;
    }
    this.#held.push(event);
    this.#timer ??= setTimeout(() => {
      this.report(new Error(`events continue after ${PATIENCE / 1000} s, although the page is still loading`));
      this.#awaited.clear();
      this.#release();
    }, PATIENCE);
  }

  /** Requests made before a load begins share it; a load that is under way may have missed the change that it is requested for. */
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
      // Events were delivered before it ended, and what they have shown may be replaced now.
      this.#ask(entry);
    }
    if (this.#awaited.size === 0) {
      this.#release();
    }
  }

  /** Delivers all held events in one go: a load that one of them requests begins later and includes the others. */
  #release(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#held.splice(0).forEach(this.deliver);
  }
}
