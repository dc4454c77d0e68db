/** Remembers keys, the latest of them alone. */
export class Seen {
  readonly #keys = new Set<string>();

  constructor(private readonly limit: number) {}

  get size(): number {
    return this.#keys.size;
  }

  /** Whether the key is new, which it is no more from now on. */
  isNew(key: string): boolean {
    if (this.#keys.has(key)) {
      return false;
    }
    this.#keys.add(key);
    if (this.#keys.size > this.limit) {
      // A set keeps the order in which keys came.
      for (const oldest of this.#keys) {
        this.#keys.delete(oldest);
        break;
      }
    }
    return true;
  }
}
