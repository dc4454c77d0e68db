/** Takes what went wrong. */
export type Report = (error: unknown) => void;

/** Calls a function. What it throws is reported and goes no further, and so is what its promise rejects with. */
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
