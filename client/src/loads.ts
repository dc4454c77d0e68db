import type { InstantEvent, Load } from "./api";
import type { Report } from "./guard";

/** Milliseconds that events wait for what is loaded. */
const PATIENCE = 10_000;

/** A function of the page that loads what it shows. */
interface Entry {
  call: () => unknown;
  /** The last load that has begun. */
  current: Promise<void>;
  /** The one that begins after it, if there is to be one. */
  next: Promise<void> | undefined;
  /** How many have begun. */
  begun: number;
  /** Whether one was asked for since events arrive. */
  isKnown: boolean;
}

/**
 * What the page loads. Events that come meanwhile wait until it is loaded: what a handler has shown of them would be replaced by what
 * may be older.
 */
export class Loads {
  readonly #entries = new Set<Entry>();
  #underWay = 0;
  #held: InstantEvent[] = [];
  /** How many events were handed on. */
  #delivered = 0;

  constructor(
    private readonly deliver: (event: InstantEvent) => void,
    private readonly report: Report,
  ) {}

  add(call: () => unknown): Load {
    const entry: Entry = { call, current: Promise.resolve(), next: undefined, begun: 0, isKnown: false };
    this.#entries.add(entry);
    return Object.assign(() => this.#ask(entry), { off: () => void this.#entries.delete(entry) });
  }

  /** Events arrive from now on: what has not been loaded since they do is. */
  begin(): void {
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
    if (this.#underWay > 0) {
      this.#held.push(event);
    } else {
      this.#deliver(event);
    }
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
    this.#underWay += 1;
    entry.begun += 1;
    const loading = (async () => entry.call())().catch(this.report);
    if (!(await ends(loading, PATIENCE))) {
      this.report(new Error(`events go on after ${PATIENCE / 1000} s, although the page still loads`));
      // What it shows in the end may be older than what was shown meanwhile.
      const { begun } = entry;
      const delivered = this.#delivered;
      loading.then(() => void ((entry.begun > begun || this.#delivered > delivered) && this.#ask(entry)));
    }
    this.#underWay -= 1;
    if (this.#underWay === 0) {
      // All of them at once: a load that one of these asks for begins later and knows of the others.
      this.#held.splice(0).forEach((event) => this.#deliver(event));
    }
  }

  #deliver(event: InstantEvent): void {
    this.#delivered += 1;
    this.deliver(event);
  }
}

/** Whether it ends within so many milliseconds. */
function ends(promise: Promise<unknown>, patience: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), patience);
  });
  return Promise.race([promise.then(() => true), late]).finally(() => clearTimeout(timer));
}
