import assert from "node:assert/strict";
import { test } from "node:test";
import type { InstantEvent } from "../src/api";
import { toEvent } from "../src/event";
import { Handlers } from "../src/handlers";
import { pick, random } from "./random";

function event(event_class: string, channel = "public"): InstantEvent {
  return toEvent(channel, { event_class });
}

function handlers(): { errors: unknown[]; handlers: Handlers } {
  const errors: unknown[] = [];
  return { errors, handlers: new Handlers((error) => errors.push(error)) };
}

test("a handler receives its class, its classes or all of them, and only from its channels", () => {
  const { handlers: all } = handlers();
  const heard: string[] = [];
  const note = (name: string) => ({ event_class, channel }: InstantEvent) => heard.push(`${name} ${event_class} ${channel}`);
  all.on("a", note("one"));
  all.on(["a", "b"], note("two"));
  all.on("*", note("all"), { channel: ["staff", "users"] });
  all.dispatch(event("a"));
  all.dispatch(event("b", "staff"));
  all.dispatch(event("c", "users"));
  all.dispatch(event("c", "public"));
  assert.deepEqual(heard, ["one a public", "two a public", "two b staff", "all b staff", "all c users"]);
});

test("a handler that is registered for a class both by name and by a star is called once", () => {
  const { handlers: all } = handlers();
  let calls = 0;
  all.on(["a", "*"], () => calls++);
  all.dispatch(event("a"));
  assert.equal(calls, 1);
});

test("a handler that throws, or whose promise rejects, does not affect the others, and its error is reported", async () => {
  const { errors, handlers: all } = handlers();
  const heard: number[] = [];
  all.on("a", () => heard.push(1));
  all.on("a", () => {
    throw new Error("thrown");
  });
  all.on("a", async () => {
    throw new Error("rejected");
  });
  all.on("a", () => heard.push(2));
  all.dispatch(event("a"));
  await Promise.resolve();
  assert.deepEqual(heard, [1, 2]);
  assert.deepEqual(errors.map(String), ["Error: thrown", "Error: rejected"]);
});

test("once is once, also where the handler throws or has the same class dispatched again", () => {
  const { errors, handlers: all } = handlers();
  let calls = 0;
  all.on(
    ["a", "b"],
    () => {
      calls++;
      all.dispatch(event("b"));
      throw new Error("thrown");
    },
    {},
    true,
  );
  all.dispatch(event("a"));
  all.dispatch(event("a"));
  assert.equal(calls, 1);
  assert.equal(errors.length, 1);
});

test("off inside a handler takes effect immediately, for itself and for those after it", () => {
  const { handlers: all } = handlers();
  const heard: string[] = [];
  const later = () => heard.push("later");
  const first = () => {
    heard.push("first");
    all.off("a", later);
    all.off("a", first);
  };
  all.on("a", first);
  all.on("a", later);
  all.on("a", () => heard.push("last"));
  all.dispatch(event("a"));
  all.dispatch(event("a"));
  assert.deepEqual(heard, ["first", "last", "last"]);
});

test("a handler that is added by another receives the next event", () => {
  const { handlers: all } = handlers();
  let calls = 0;
  all.on("a", () => all.on("a", () => calls++), {}, true);
  all.dispatch(event("a"));
  assert.equal(calls, 0);
  all.dispatch(event("a"));
  assert.equal(calls, 1);
});

test("off removes the named classes, of a handler, of all, or of one channel", () => {
  const { handlers: all } = handlers();
  const heard: string[] = [];
  const one = ({ event_class }: InstantEvent) => heard.push(`one ${event_class}`);
  const room = ({ channel }: InstantEvent) => heard.push(`room ${channel}`);
  all.on(["a", "b"], one);
  all.on("a", room, { channel: "room:1" });
  all.off("a", one);
  all.dispatch(event("a", "room:1"));
  all.dispatch(event("b"));
  assert.deepEqual(heard, ["room room:1", "one b"]);
  all.off("a", undefined, "room:2");
  all.dispatch(event("a", "room:1"));
  assert.equal(heard.length, 3);
  all.leave("room:1");
  all.off("b");
  all.dispatch(event("a", "room:1"));
  all.dispatch(event("b"));
  assert.equal(heard.length, 3);
});

test("whatever handlers do, each event reaches exactly those that were registered and not removed before their turn", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const next = random(seed);
    const { errors, handlers: all } = handlers();
    const classes = ["a", "b", "c", "*"];
    // The registrations in order, as the simplest code would keep them.
    type Model = { id: number; classes: string[]; channel: string | undefined; once: boolean; throws: boolean; takes: number };
    let model: Model[] = [];
    const offs = new Map<number, () => void>();
    let expected: string[] = [];
    const heard: string[] = [];
    let thrown = 0;
    for (let step = 0; step < 60; step++) {
      if (next(3) > 0) {
        const entry: Model = {
          id: step,
          classes: [pick(next, classes), pick(next, classes)],
          channel: pick(next, [undefined, "x", "y"]),
          once: next(4) === 0,
          throws: next(3) === 0,
          takes: next(2) === 0 ? next(60) : -1,
        };
        const handler = () => {
          heard.push(`${entry.id}`);
          offs.get(entry.takes)?.();
          if (entry.throws) {
            throw new Error(`${entry.id}`);
          }
        };
        const filter = entry.channel === undefined ? {} : { channel: entry.channel };
        offs.set(entry.id, all.on(entry.classes, handler, filter, entry.once));
        model.push(entry);
      } else {
        const [name, channel] = [pick(next, ["a", "b", "c"]), pick(next, ["x", "y"])];
        for (const entry of [...model]) {
          const isOfClass = entry.classes.includes(name) || entry.classes.includes("*");
          if (!model.includes(entry) || !isOfClass || (entry.channel !== undefined && entry.channel !== channel)) {
            continue;
          }
          expected.push(`${entry.id}`);
          thrown += Number(entry.throws);
          model = model.filter((other) => other.id !== entry.takes && !(entry.once && other === entry));
        }
        all.dispatch(event(name, channel));
      }
      assert.deepEqual(heard, expected, `seed ${seed}, step ${step}`);
    }
    assert.equal(errors.length, thrown, `seed ${seed}`);
  }
});
