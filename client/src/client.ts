import { Centrifuge, type PublicationContext, type ServerSubscribedContext } from "centrifuge";
import type { Channel, Classes, Filter, Gap, Handler, Instant, InstantEvent, Load, Off, Options, State } from "./api";
import { ConnectedChannel, type Connection } from "./channel";
import { Deferred } from "./deferred";
import { dispatch, eventName } from "./dom";
import { endpoint, ways } from "./endpoint";
import { RESYNC, toEvent } from "./event";
import { Gaps } from "./gaps";
import { guard } from "./guard";
import { Handlers } from "./handlers";
import { Listeners } from "./listeners";
import { Loads } from "./loads";
import { Seen } from "./seen";
import { askForToken } from "./token";

/** How many ids are kept: a relay that was killed publishes some hundred events again. */
const REMEMBERED = 4096;
/** Milliseconds that a page waits for its requested channels before it loads. */
const GRACE = 2_000;
/** The code of a connection that the page itself ended. */
const ASKED_FOR = 0;
/** The code of a connection that no longer has a token. */
const WITHOUT_TOKEN = 1;
/** Codes from here on are Instant's: it disconnects a client that is another user now, or whose access has changed. */
const CUT = 4000;

/** The client: a connection, its channels, and their handlers. */
export class Client implements Instant, Connection {
  readonly centrifuge: Centrifuge;
  readonly handlers: Handlers;
  readonly #errors = new Listeners<unknown>((error) => console.error("instant:", error));
  readonly #states: Listeners<State>;
  readonly #gapListeners: Listeners<Gap>;
  readonly #gaps: Gaps;
  readonly #loads: Loads;
  readonly #seen = new Seen(REMEMBERED);
  /** Channels that the page has requested. */
  readonly #channels = new Map<string, ConnectedChannel>();
  /** Channels that the server has subscribed this connection to. */
  readonly #served = new Set<string>();
  /** Channels that were subscribed at some time, and may therefore have missed events when they are subscribed again. */
  readonly #known = new Set<string>();
  #ready = new Deferred();
  #wasReady = false;
  /** Whether the page is about to reload. */
  #isToLoad = false;
  #state: State = "disconnected";
  /** Why the connection failed, until the next attempt. */
  #failure: Error | undefined;

  /** `own` is the address of this code. */
  constructor(options: Options, own: string | undefined) {
    this.handlers = new Handlers(this.report);
    this.#states = new Listeners(this.report);
    this.#gapListeners = new Listeners(this.report);
    this.#gaps = new Gaps((gap) => {
      this.#gapListeners.tell(gap);
      dispatch("instant-gap", gap);
      this.#loads.again();
    });
    this.#loads = new Loads((event) => this.#deliver(event), this.report);
    const { token, tokenUrl } = options;
    let latest = token;
    const ask = async (url: string) => {
      // If this request is refused, an earlier 401 must not make it look anonymous.
      latest = undefined;
      return (latest = await askForToken(url));
    };
    const found = ways(endpoint(options.url, own), globalThis.location?.origin);
    this.centrifuge = new Centrifuge(typeof found === "string" ? found : found.transports, {
      ...(typeof found === "string" ? {} : { emulationEndpoint: found.emulationEndpoint }),
      ...(token === undefined ? {} : { token }),
      ...(tokenUrl === undefined ? {} : { getToken: () => ask(tokenUrl) }),
    });
    this.#listen(tokenUrl !== undefined, () => latest === "");
    options.channels?.forEach((name) => this.channel(name));
  }

  get state(): State {
    return this.#state;
  }

  on(classes: Classes, handler: Handler, filter?: Filter): Off {
    return this.handlers.on(classes, handler, filter);
  }

  once(classes: Classes, handler: Handler, filter?: Filter): Off {
    return this.handlers.on(classes, handler, filter, true);
  }

  off(classes: Classes, handler?: Handler): void {
    this.handlers.off(classes, handler);
  }

  channel(name: string): Channel {
    const known = this.#channels.get(name);
    if (known !== undefined) {
      return known;
    }
    const channel = new ConnectedChannel(name, this);
    this.#channels.set(name, channel);
    if (this.#ready.isSettled && this.#state === "connected") {
      channel.attach(this.#served.has(name));
    } else if (this.#failure !== undefined) {
      channel.failed(this.#failure);
    }
    return channel;
  }

  async ready(): Promise<void> {
    await this.#ready.promise;
    await Promise.allSettled([...this.#channels.values()].map((channel) => channel.ready()));
  }

  load(load: () => unknown): Load {
    const added = this.#loads.add(load);
    if (this.#ready.isSettled && this.#state === "connected") {
      this.#begin();
    }
    return added;
  }

  connect(): void {
    this.centrifuge.connect();
  }

  disconnect(): void {
    this.centrifuge.disconnect();
  }

  onState(handler: (state: State) => unknown): Off {
    return this.#states.add(handler);
  }

  onGap(handler: (gap: Gap) => unknown): Off {
    return this.#gapListeners.add(handler);
  }

  onError(handler: (error: unknown) => unknown): Off {
    return this.#errors.add(handler);
  }

  readonly report = (error: unknown): void => {
    if (this.#errors.isEmpty) {
      console.error("instant:", error);
    } else {
      this.#errors.tell(error);
    }
  };

  /** The official client would end the connection over an exception thrown here. */
  receive(publication: PublicationContext): void {
    guard(() => this.#take(publication), this.report);
  }

  subscribed({ channel, recovered, wasRecovering }: ServerSubscribedContext): void {
    if (!this.#known.has(channel)) {
      this.#known.add(channel);
      if (this.#loads.hasBegun) {
        this.#again();
      }
    } else if (!recovered) {
      this.#gaps.note(wasRecovering ? "recovery" : "reconnect", channel);
    }
  }

  forget(channel: string): void {
    this.#channels.delete(channel);
    this.#known.delete(channel);
  }

  #take({ channel, data, info }: PublicationContext): void {
    const event = toEvent(channel, data);
    // A publication of another client can neither use up an id nor make pages reload.
    if (info === undefined) {
      if (typeof event.id === "string" && !this.#seen.isNew(`${channel} ${event.id}`)) {
        return;
      }
      if (event.event_class === RESYNC) {
        this.#gaps.note("resync", channel);
        return;
      }
    }
    this.#loads.take(event);
  }

  #deliver(event: InstantEvent): void {
    this.handlers.dispatch(event);
    const name = eventName(event.event_class);
    if (name !== undefined) {
      dispatch(name, event);
    }
    dispatch("instant-event", event);
  }

  /** `isVisitor` returns whether the last token request was refused because nobody is logged in. */
  #listen(asksForTokens: boolean, isVisitor: () => boolean): void {
    this.centrifuge
      .on("connecting", ({ code }) => {
        this.#interrupted();
        if (code >= CUT && asksForTokens) {
          // The current token may stay valid for a while, but describes the user as it was.
          this.centrifuge.setToken("");
        }
        this.#become(this.#wasReady ? "reconnecting" : "connecting");
      })
      .on("connected", () => {
        this.#become("connected");
        // The channels that the server has subscribed it to are announced after this.
        queueMicrotask(() => this.#arrived());
      })
      .on("disconnected", ({ code, reason }) => {
        this.#interrupted();
        if (code === ASKED_FOR) {
          this.#become("disconnected");
        } else if (code === WITHOUT_TOKEN && asksForTokens && isVisitor()) {
          // The user has logged out, and continues as an anonymous visitor.
          queueMicrotask(() => this.connect());
        } else {
          const error = new Error(`${reason} (${code})`);
          this.#failure = error;
          this.#ready.reject(error);
          this.#channels.forEach((channel) => channel.failed(error));
          this.#become("failed");
          this.report(error);
        }
      })
      .on("error", ({ type, error }) => {
        // An unreachable server is a state, and the browser's console shows the reason.
        if (type !== "transport" || !this.#errors.isEmpty) {
          this.report(new Error(`${type}: ${error.message} (${error.code})`));
        }
      })
      .on("subscribed", (context) => {
        this.#served.add(context.channel);
        this.subscribed(context);
        if (this.#ready.isSettled) {
          this.#channels.get(context.channel)?.attach(true);
        }
      })
      .on("unsubscribed", ({ channel }) => {
        this.#served.delete(channel);
        this.#channels.get(channel)?.interrupted();
      })
      .on("publication", (publication) => this.receive(publication))
      .on("join", ({ channel, info }) => this.#channels.get(channel)?.joined(info))
      .on("leave", ({ channel, info }) => this.#channels.get(channel)?.left(info));
  }

  #arrived(): void {
    if (this.#state !== "connected") {
      return;
    }
    this.#ready.resolve();
    this.#channels.forEach((channel, name) => channel.attach(this.#served.has(name)));
    this.#wasReady = true;
    this.#begin();
  }

  /** Loads the page once its channels are subscribed. A late channel does not block it; the page reloads when that is subscribed. */
  async #begin(): Promise<void> {
    const late = new Promise((resolve) => setTimeout(resolve, GRACE));
    await Promise.race([this.ready(), late]);
    const isFirst = !this.#loads.hasBegun;
    this.#loads.begin();
    if (isFirst) {
      dispatch("instant-ready", undefined);
    }
  }

  /** Reloads the page, once for all channels that are subscribed at the same time. */
  #again(): void {
    if (!this.#isToLoad) {
      this.#isToLoad = true;
      queueMicrotask(() => {
        this.#isToLoad = false;
        this.#loads.again();
        dispatch("instant-ready", undefined);
      });
    }
  }

  #interrupted(): void {
    this.#failure = undefined;
    this.#served.clear();
    this.#channels.forEach((channel) => channel.interrupted());
    if (this.#ready.isSettled) {
      this.#ready = new Deferred();
    }
  }

  #become(state: State): void {
    if (this.#state !== state) {
      this.#state = state;
      this.#states.tell(state);
    }
  }
}
