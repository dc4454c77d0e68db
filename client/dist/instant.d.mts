/** An event. `site` and `bucket` are empty where the event has none. */
export interface InstantEvent<Data = any> {
    /** Selects the handlers: `"Order edited"`. `"default"` if a publication has none, or one that is not a string. */
    event_class: string;
    /** The human-readable text. */
    message: string;
    /** The published columns, or the data of a broadcast. */
    data: Data;
    /** The channel it arrived on. */
    channel: string;
    site: string;
    bucket: string;
    /** Identifies this event in its channel. */
    id?: string;
    /** When the change was made, in ISO 8601. */
    at?: string;
    /** The model's label: `"shop.Order"`. */
    model?: string | null;
    /** `insert`, `update`, `delete`, `truncate`, `leave` or `broadcast`. */
    op?: string;
    /** The row's primary key. */
    pk?: unknown;
    /** How many changes it stands for, if changes of one transaction were collapsed into one event. */
    count?: number;
    /** The primary keys of their rows; null if there are too many to list. */
    keys?: unknown[] | null;
}
/** Called with each event that it is registered for. Anything it throws, or its promise rejects with, goes to `onError`. */
export type Handler<Data = any> = (event: InstantEvent<Data>) => unknown;
/** An event class, several of them, or `"*"` for all. */
export type Classes = string | readonly string[];
/** The channels whose events a handler receives; all without `channel`. */
export interface Filter {
    channel?: string | readonly string[];
}
/** Loads again. Calls made before a load begins share it, and their promises resolve when it has ended. */
export interface Load {
    (): Promise<void>;
    /** Stops loading. */
    off(): void;
}
/** Undoes the registration made by the function that returned it. */
export type Off = () => void;
/** The state of the connection. `failed` means that the server ended it for good: the client does not retry. */
export type State = "connecting" | "connected" | "reconnecting" | "disconnected" | "failed";
/**
 * Why events may be missing: the triggers dropped changes (`resync`), the channel's history does not reach back far enough
 * (`recovery`), or the connection was interrupted and the channel has no history (`reconnect`).
 */
export type GapReason = "resync" | "recovery" | "reconnect";
/** Events may be missing: reload what the page shows. */
export interface Gap {
    /** The channels that may have missed events. */
    channels: string[];
    reasons: GapReason[];
}
/** A subscriber of a channel: a connection, of which a user may have several. */
export interface Member {
    /** The connection's id. */
    client: string;
    /** The user's key; empty for an anonymous visitor. */
    user: string;
}
/** Which part of a channel's history to return. */
export interface HistoryOptions {
    /** The maximum number of events; 100 by default. */
    limit?: number;
    /** Newest first. */
    reverse?: boolean;
}
/** One channel: the connection receives those of its targets anyway, and subscribes to any other. */
export interface Channel {
    readonly name: string;
    on<Data = any>(classes: Classes, handler: Handler<Data>): Off;
    once<Data = any>(classes: Classes, handler: Handler<Data>): Off;
    off(classes: Classes, handler?: Handler): void;
    /**
     * Resolves when events of this channel arrive from now on; rejects when the server refuses the subscription, the connection has failed
     * or the channel is left.
     */
    ready(): Promise<void>;
    /** The events in the channel's history. */
    history(options?: HistoryOptions): Promise<InstantEvent[]>;
    /** The current members. */
    presence(): Promise<Member[]>;
    /** Publishes to every subscriber, if the channel's rule allows clients to publish. */
    publish(data: unknown): Promise<void>;
    /** Calls `handler` with the current members when the channel is ready, and whenever it becomes ready again. */
    here(handler: (members: Member[]) => unknown): this;
    /** Calls `handler` with each member that joins. */
    joining(handler: (member: Member) => unknown): this;
    /** Calls `handler` with each member that leaves. */
    leaving(handler: (member: Member) => unknown): this;
    /** Unsubscribes, and drops the handlers of this channel. */
    leave(): void;
}
/** Where and how to connect. */
export interface Options {
    /** The address of a WebSocket, or of a server, whose path is then `/connection/websocket`. By default the script's own server. */
    url?: string;
    /** A connection token. */
    token?: string;
    /** Where to get connection tokens: `POST` answers `{"token": …}`, or 401 for an anonymous visitor. */
    tokenUrl?: string;
    /** Channels to subscribe to from the beginning. */
    channels?: readonly string[];
    /** Whether to wait for `connect()`. */
    manual?: boolean;
}
/** One connection, and the events that arrive over it. */
export interface Instant {
    readonly state: State;
    /** Calls `handler` with each event of these classes, in the order of their arrival. */
    on<Data = any>(classes: Classes, handler: Handler<Data>, filter?: Filter): Off;
    /** The same, for the next such event only. */
    once<Data = any>(classes: Classes, handler: Handler<Data>, filter?: Filter): Off;
    /** Removes these classes from `handler`, or from every handler. */
    off(classes: Classes, handler?: Handler): void;
    /** The channel of this name; subscribes to it unless the connection receives it anyway. */
    channel(name: string): Channel;
    /** Resolves when events arrive from now on; rejects when the connection has failed. */
    ready(): Promise<void>;
    /**
     * Calls `load` when events arrive from now on, also those of a channel that is requested later, after each gap, and when the returned
     * function is called. Events wait while it runs, for ten seconds at most, so that their changes are not overwritten by data read
     * earlier; a load that takes longer is repeated. Anything it throws, or its promise rejects with, goes to `onError`.
     */
    load(load: () => unknown): Load;
    connect(): void;
    disconnect(): void;
    /** Calls `handler` with each new state. */
    onState(handler: (state: State) => unknown): Off;
    /** Calls `handler` when events may be missing, once for gaps that occur together. */
    onGap(handler: (gap: Gap) => unknown): Off;
    /** Calls `handler` with errors of handlers and of the connection, which otherwise go to the console. */
    onError(handler: (error: unknown) => unknown): Off;
}
/** Opens a connection of its own. */
export type Connect = (options?: Options) => Instant;
export declare const connect: Connect;
