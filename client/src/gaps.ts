import type { Gap, GapReason } from "./api";

/** Milliseconds within which gaps are reported together: a connection that comes back finds those of all its channels. */
const TOGETHER = 100;

/** Gathers gaps, so that a page reloads only once. */
export class Gaps {
  #channels = new Set<string>();
  #reasons = new Set<GapReason>();

  constructor(private readonly tell: (gap: Gap) => void) {}

  note(reason: GapReason, channel: string): void {
    if (this.#channels.size === 0) {
      setTimeout(() => this.#flush(), TOGETHER);
    }
    this.#channels.add(channel);
    this.#reasons.add(reason);
  }

  #flush(): void {
    const gap = { channels: [...this.#channels], reasons: [...this.#reasons] };
    this.#channels.clear();
    this.#reasons.clear();
    this.tell(gap);
  }
}
