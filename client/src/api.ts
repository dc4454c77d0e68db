/** What has happened. `site` and `bucket` are empty where the event has none. */
export interface InstantEvent<Data = any> {
  /** What handlers are chosen by: `"Order edited"`. `"default"` where a publication names none, or one that is no text. */
  event_class: string;
  /** The text for people. */
  message: string;
  /** The published columns, or what a broadcast carries. */
  data: Data;
  /** The channel it came through. */
  channel: string;
  site: string;
  bucket: string;
  /** What names this event in its channel. */
  id?: string;
  /** When the change was made, in ISO 8601. */
  at?: string;
  /** The model's label: `"shop.Order"`. */
  model?: string | null;
  /** `insert`, `update`, `delete`, `truncate`, `leave` or `broadcast`. */
  op?: string;
  /** The row's primary key. */
  pk?: unknown;
  /** How many changes of one transaction it tells of, where these became one event. */
  count?: number;
  /** The primary keys of their rows; null where these are too many to name. */
  keys?: unknown[] | null;
}

/** Is called with each event that it was registered for. What it throws, or the promise it returns rejects with, goes to `onError`. */
export type Handler<Data = any> = (event: InstantEvent<Data>) => unknown;

/** An event class, several of them, or `"*"` for all. */
export type Classes = string | readonly string[];

/** Which channels a handler hears; without one, all. */
export interface Filter {
  channel?: string | readonly string[];
}

/** Loads again. Calls that come before it begins are one load, and each promise resolves when that has ended. */
export interface Load {
  (): Promise<void>;
  /** Loads no more. */
  off(): void;
}

/** Takes back what the function that returned it has registered. */
export type Off = () => void;

/** How the connection is. `failed` is an end that the server wants: it is not tried again. */
export type State = "connecting" | "connected" | "reconnecting" | "disconnected" | "failed";

/**
 * Why events may be missing: the triggers gave changes up (`resync`), the channel's history does not reach back far enough
 * (`recovery`), or the connection was interrupted and the channel has no history (`reconnect`).
 */
export type GapReason = "resync" | "recovery" | "reconnect";

/** Events may be missing: load again what the page shows. */
export interface Gap {
  /** The channels that may have missed something. */
  channels: string[];
  reasons: GapReason[];
}

/** Somebody who listens to a channel: a connection, of which a user may have several. */
export interface Member {
  /** The connection's id. */
  client: string;
  /** The user's key; empty for a visitor. */
  user: string;
}

/** Which part of a channel's history is asked for. */
export interface HistoryOptions {
  /** The most events; 100 unless it is said. */
  limit?: number;
  /** The newest first. */
  reverse?: boolean;
}

/** One channel: those of the connection's targets are heard anyway, any other is subscribed to. */
export interface Channel {
  readonly name: string;
  on<Data = any>(classes: Classes, handler: Handler<Data>): Off;
  once<Data = any>(classes: Classes, handler: Handler<Data>): Off;
  off(classes: Classes, handler?: Handler): void;
  /**
   * Resolves when events of this channel arrive from now on; rejects when the server refuses, the connection has failed or the channel
   * is left.
   */
  ready(): Promise<void>;
  /** What the channel's history holds. */
  history(options?: HistoryOptions): Promise<InstantEvent[]>;
  /** Who is there now. */
  presence(): Promise<Member[]>;
  /** Publishes to everyone who listens, where the channel's rule lets clients. */
  publish(data: unknown): Promise<void>;
  /** Is told who is there, when the channel is ready and whenever it is so again. */
  here(handler: (members: Member[]) => unknown): this;
  /** Is told who comes. */
  joining(handler: (member: Member) => unknown): this;
  /** Is told who goes. */
  leaving(handler: (member: Member) => unknown): this;
  /** Listens no more, and forgets the handlers of this channel. */
  leave(): void;
}

/** Where and how to connect. */
export interface Options {
  /** The address: of a WebSocket, or of a server whose path is then `/connection/websocket`. The script's own server unless it is said. */
  url?: string;
  /** A connection token. */
  token?: string;
  /** Where connection tokens are: `POST` answers `{"token": …}`, or 401 for a visitor. */
  tokenUrl?: string;
  /** Channels to subscribe to from the beginning. */
  channels?: readonly string[];
  /** Whether to wait for `connect()`. */
  manual?: boolean;
}

/** One connection, and what is heard through it. */
export interface Instant {
  readonly state: State;
  /** Calls `handler` with each event of these classes, in the order of their arrival. */
  on<Data = any>(classes: Classes, handler: Handler<Data>, filter?: Filter): Off;
  /** The same for the next such event alone. */
  once<Data = any>(classes: Classes, handler: Handler<Data>, filter?: Filter): Off;
  /** Takes these classes away from `handler`, or from every handler. */
  off(classes: Classes, handler?: Handler): void;
  /** The channel of this name, which is subscribed to unless the connection hears it anyway. */
  channel(name: string): Channel;
  /** Resolves when events arrive from now on; rejects when the connection has failed. */
  ready(): Promise<void>;
  /**
   * Calls `load` when events arrive from now on, also those of a channel that is asked for later, after each gap, and when the function
   * that it returns is called. Events wait while it runs, for ten seconds at most, so that what they change is not replaced by what was
   * read before; a load that takes longer is done again. What it throws, or the promise it returns rejects with, goes to `onError`.
   */
  load(load: () => unknown): Load;
  connect(): void;
  disconnect(): void;
  /** Is told each new state. */
  onState(handler: (state: State) => unknown): Off;
  /** Is told when events may be missing. What comes together is told once. */
  onGap(handler: (gap: Gap) => unknown): Off;
  /** Is told what handlers throw and what the connection suffers, in place of the console. */
  onError(handler: (error: unknown) => unknown): Off;
}

/** Makes a connection of its own. */
export type Connect = (options?: Options) => Instant;
