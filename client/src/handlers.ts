import type { Classes, Filter, Handler, InstantEvent, Off } from "./api";
import { guard, type Report } from "./guard";

/** Stands for every class. */
const ALL = "*";

interface Entry {
  classes: Set<string>;
  channels: Set<string> | undefined;
  handler: Handler;
  once: boolean;
}

/** The handlers of events, by class and channel. */
export class Handlers {
  readonly #entries = new Set<Entry>();

  constructor(private readonly report: Report) {}

  on(classes: Classes, handler: Handler, filter: Filter = {}, once = false): Off {
    const channels = filter.channel === undefined ? undefined : new Set(list(filter.channel));
    const entry = { classes: new Set(list(classes)), channels, handler, once };
    this.#entries.add(entry);
    return () => this.#entries.delete(entry);
  }

  /** Removes classes from a handler, or from all; only from those of `channel` if it is given. */
  off(classes: Classes, handler?: Handler, channel?: string): void {
    for (const entry of this.#entries) {
      const isMeant = handler === undefined || entry.handler === handler;
      if (isMeant && (channel === undefined || entry.channels?.has(channel))) {
        list(classes).forEach((name) => entry.classes.delete(name));
        if (entry.classes.size === 0) {
          this.#entries.delete(entry);
        }
      }
    }
  }

  /** Drops the handlers that receive this channel and no other. */
  leave(channel: string): void {
    for (const entry of this.#entries) {
      if (entry.channels?.size === 1 && entry.channels.has(channel)) {
        this.#entries.delete(entry);
      }
    }
  }

  /** Calls the handlers of an event that are registered now, in order of registration, except for any that one of them removes. */
  dispatch(event: InstantEvent): void {
    for (const entry of [...this.#entries]) {
      if (this.#entries.has(entry) && hears(entry, event)) {
        if (entry.once) {
          this.#entries.delete(entry);
        }
        guard(() => entry.handler(event), this.report);
      }
    }
  }
}

function hears({ classes, channels }: Entry, event: InstantEvent): boolean {
  const isOfClass = classes.has(ALL) || classes.has(event.event_class);
  return isOfClass && (channels === undefined || channels.has(event.channel));
}

function list(names: string | readonly string[]): readonly string[] {
  return typeof names === "string" ? [names] : names;
}
