/** Records keys, only the latest ones. */
export class Seen {
  readonly #keys = new Set<string>();

  constructor(private readonly limit: number) {}

  get size(): number {
    return this.#keys.size;
  }

  /** Whether the key is new; from now on it is not. */
  isNew(key: string): boolean {
    if (this.#keys.has(key)) {
      return false;
    }
    this.#keys.add(key);
    if (this.#keys.size > this.limit) {
      // A set keeps insertion order.
      for (const oldest of this.#keys) {
        this.#keys.delete(oldest);
        break;
      }
    }
    return true;
  }
}
