/** Numbers below a limit, determined by a seed. */
export type Random = (limit: number) => number;

/** A linear congruential generator; its high bits are random enough for tests. */
export function random(seed: number): Random {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

export function pick<Item>(next: Random, items: readonly Item[]): Item {
  return items[next(items.length)] as Item;
}
