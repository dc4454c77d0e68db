/** A promise that is settled from outside. A rejection that nobody awaits is no error. */
export class Deferred {
  readonly promise: Promise<void>;
  isSettled = false;
  #resolve!: () => void;
  #reject!: (error: Error) => void;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.promise.catch(() => {});
  }

  resolve(): void {
    this.isSettled = true;
    this.#resolve();
  }

  reject(error: Error): void {
    this.isSettled = true;
    this.#reject(error);
  }
}
