/** Receives an error. */
export type Report = (error: unknown) => void;

/** Calls a function. An exception, or a rejection of its promise, is reported and goes no further. */
export function guard(call: () => unknown, report: Report): void {
  try {
    const result = call();
    if (result instanceof Promise) {
      result.catch(report);
    }
  } catch (error) {
    report(error);
  }
}
