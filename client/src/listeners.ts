import type { Off } from "./api";
import { guard, type Report } from "./guard";

/** Functions that are called with values of one kind. */
export class Listeners<Value> {
  readonly #entries = new Set<{ call: (value: Value) => unknown }>();

  constructor(private readonly report: Report) {}

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  add(call: (value: Value) => unknown): Off {
    const entry = { call };
    this.#entries.add(entry);
    return () => this.#entries.delete(entry);
  }

  /** Calls the functions that are registered now, except for any that one of them removes. */
  tell(value: Value): void {
    for (const entry of [...this.#entries]) {
      if (this.#entries.has(entry)) {
        guard(() => entry.call(value), this.report);
      }
    }
  }
}
