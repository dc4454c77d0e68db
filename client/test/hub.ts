class Socket {
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: (event: { code: number; reason: string }) => void;
}

interface Command {
  id: number;
  connect?: object;
  subscribe?: { channel: string };
  unsubscribe?: { channel: string };
}

/** Runs everything that does not wait for time to pass. */
export async function settle(): Promise<void> {
  for (let turns = 0; turns < 10; turns++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The hub as one client sees it: a connection is subscribed to a channel once, whether the page or the server asked for it. */
export class Hub {
  /** The channels that the server subscribes a connection to. */
  served: string[] = [];
  /** The codes with which it refuses other channels. */
  readonly refused = new Map<string, number>();
  /** The channels that the connection is subscribed to. */
  readonly heard = new Set<string>();
  #socket: Socket | undefined;

  /** Takes the place of the network. */
  constructor() {
    const connect = (socket: Socket) => {
      this.#socket = socket;
      setImmediate(() => socket.onopen?.());
    };
    const receive = (socket: Socket, frame: string) => {
      const answers = frame.split("\n").map((line) => this.#answer(JSON.parse(line)));
      setImmediate(() => answers.forEach((answer) => this.#send(socket, answer)));
    };
    class WebSocket extends Socket {
      constructor() {
        super();
        connect(this);
      }

      send(frame: string): void {
        receive(this, frame);
      }

      close(): void {}
    }
    Object.assign(globalThis, { WebSocket });
  }

  publish(channel: string, data: unknown): void {
    if (this.#socket !== undefined && this.heard.has(channel)) {
      this.#send(this.#socket, { push: { channel, pub: { data } } });
    }
  }

  /** Ends the connection. The client reconnects. */
  cut(): void {
    this.heard.clear();
    this.#socket?.onclose?.({ code: 4001, reason: "rights have changed" });
  }

  #send(socket: Socket, reply: object): void {
    if (socket === this.#socket) {
      socket.onmessage?.({ data: JSON.stringify(reply) });
    }
  }

  #answer({ id, connect, subscribe, unsubscribe }: Command): object {
    if (connect !== undefined) {
      this.served.forEach((channel) => this.heard.add(channel));
      return { id, connect: { client: "c", version: "1", subs: Object.fromEntries(this.served.map((channel) => [channel, {}])) } };
    }
    if (unsubscribe !== undefined) {
      this.heard.delete(unsubscribe.channel);
      return { id, unsubscribe: {} };
    }
    const channel = subscribe?.channel ?? "";
    const code = this.heard.has(channel) ? 105 : this.refused.get(channel);
    if (code !== undefined) {
      return { id, error: { code, message: `refused with ${code}`, temporary: code === 100 } };
    }
    this.heard.add(channel);
    return { id, subscribe: {} };
  }
}
