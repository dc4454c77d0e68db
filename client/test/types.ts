// Compiles if the module's types fit how pages use them.
import { connect, type Gap, type Instant, type InstantEvent } from "../dist/instant.mjs";

interface Order {
  number: string;
}

export function page(): Instant {
  const instant = connect({ url: "wss://shop.example", channels: ["room:1"] });
  const off = instant.on<Order>(["Order created", "Order edited"], ({ data }) => data.number.length, { channel: "staff" });
  instant.once("*", async (event: InstantEvent) => event.pk);
  instant.onGap((gap: Gap) => gap.channels.join());
  instant.channel("room:1").here((members) => members.length).joining(({ user }) => user).leaving(({ client }) => client);
  const load = instant.load(async () => {});
  load().then(load.off);
  // @ts-expect-error a state is none of these
  instant.onState((state) => state === "open");
  // @ts-expect-error a handler is a function
  instant.on("a", "b");
  off();
  return instant;
}
