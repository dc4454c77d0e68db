import type { Centrifuge, ClientInfo, PublicationContext, SubscribedContext, Subscription } from "centrifuge";
import type { Channel, Classes, Handler, HistoryOptions, InstantEvent, Member, Off } from "./api";
import { Deferred } from "./deferred";
import { toEvent } from "./event";
import { guard, type Report } from "./guard";
import type { Handlers } from "./handlers";
import { Listeners } from "./listeners";

/** The maximum number of events of a history, by default. */
const HISTORY = 100;
/** The code of a subscription that the page itself ended. */
const ASKED_FOR = 0;
/** The code of a subscription that the server has already given to the connection. */
const GIVEN = 105;

/** What a channel needs of its connection. */
export interface Connection {
  readonly centrifuge: Centrifuge;
  readonly handlers: Handlers;
  readonly report: Report;
  receive(publication: PublicationContext): void;
  subscribed(context: SubscribedContext): void;
  forget(channel: string): void;
}

/** A channel that the page has requested. */
export class ConnectedChannel implements Channel {
  #ready = new Deferred();
  #isHeard = false;
  #subscription: Subscription | undefined;
  readonly #here: Listeners<Member[]>;
  readonly #joining: Listeners<Member>;
  readonly #leaving: Listeners<Member>;

  constructor(
    readonly name: string,
    private readonly connection: Connection,
  ) {
    this.#here = new Listeners(connection.report);
    this.#joining = new Listeners(connection.report);
    this.#leaving = new Listeners(connection.report);
  }

  on(classes: Classes, handler: Handler): Off {
    return this.connection.handlers.on(classes, handler, { channel: this.name });
  }

  once(classes: Classes, handler: Handler): Off {
    return this.connection.handlers.on(classes, handler, { channel: this.name }, true);
  }

  off(classes: Classes, handler?: Handler): void {
    this.connection.handlers.off(classes, handler, this.name);
  }

  ready(): Promise<void> {
    return this.#ready.promise;
  }

  async history({ limit = HISTORY, reverse = false }: HistoryOptions = {}): Promise<InstantEvent[]> {
    await this.ready();
    const { publications } = await this.connection.centrifuge.history(this.name, { limit, reverse });
    return publications.map(({ data }) => toEvent(this.name, data));
  }

  async presence(): Promise<Member[]> {
    await this.ready();
    const { clients } = await this.connection.centrifuge.presence(this.name);
    return Object.values(clients).map(member);
  }

  async publish(data: unknown): Promise<void> {
    await this.ready();
    await this.connection.centrifuge.publish(this.name, data);
  }

  here(handler: (members: Member[]) => unknown): this {
    this.#here.add(handler);
    if (this.#isHeard) {
      this.#ask((members) => guard(() => handler(members), this.connection.report));
    }
    return this;
  }

  joining(handler: (member: Member) => unknown): this {
    this.#joining.add(handler);
    return this;
  }

  leaving(handler: (member: Member) => unknown): this {
    this.#leaving.add(handler);
    return this;
  }

  leave(): void {
    this.connection.handlers.leave(this.name);
    this.connection.forget(this.name);
    this.#unsubscribe();
    this.failed(new Error(`${this.name}: left`));
  }

  /** After each connect: the server has subscribed the connection by itself, or is asked to. */
  attach(isServed: boolean): void {
    if (isServed) {
      if (this.#subscription?.state === "unsubscribed") {
        this.#unsubscribe();
      }
      // A pending request is left alone: cancelling it would end the subscription that the server has given.
      this.arrived();
    } else if (this.#subscription === undefined) {
      this.#subscribe();
    } else if (this.#subscription.state === "unsubscribed") {
      // It was refused before; the user may have been granted access since.
      this.#subscription.subscribe();
    }
  }

  /** Events arrive from now on. */
  arrived(): void {
    this.#isHeard = true;
    this.#ready.resolve();
    if (!this.#here.isEmpty) {
      this.#ask((members) => this.#here.tell(members));
    }
  }

  /** Events have stopped arriving, for a while. */
  interrupted(): void {
    this.#isHeard = false;
    if (this.#ready.isSettled) {
      this.#ready = new Deferred();
    }
  }

  /** Events have stopped arriving, and nothing should wait for them. */
  failed(error: Error): void {
    this.interrupted();
    this.#ready.reject(error);
  }

  joined(info: ClientInfo): void {
    this.#joining.tell(member(info));
  }

  left(info: ClientInfo): void {
    this.#leaving.tell(member(info));
  }

  #subscribe(): void {
    const { connection, name } = this;
    const subscription = connection.centrifuge.newSubscription(name, { recoverable: true, joinLeave: true });
    subscription.on("subscribed", (context) => {
      connection.subscribed(context);
      this.arrived();
    });
    subscription.on("subscribing", () => this.interrupted());
    subscription.on("unsubscribed", ({ code, reason }) => {
      if (code === GIVEN) {
        this.#unsubscribe();
      } else if (code !== ASKED_FOR) {
        this.#refused(new Error(`${name}: ${reason} (${code})`));
      }
    });
    subscription.on("publication", (publication) => connection.receive(publication));
    subscription.on("join", ({ info }) => this.joined(info));
    subscription.on("leave", ({ info }) => this.left(info));
    subscription.on("error", ({ error }) => connection.report(new Error(`${name}: ${error.message} (${error.code})`)));
    this.#subscription = subscription;
    subscription.subscribe();
  }

  #unsubscribe(): void {
    if (this.#subscription !== undefined) {
      this.#subscription.unsubscribe();
      this.connection.centrifuge.removeSubscription(this.#subscription);
      this.#subscription = undefined;
    }
  }

  #refused(error: Error): void {
    this.failed(error);
    this.connection.report(error);
  }

  #ask(tell: (members: Member[]) => void): void {
    this.presence().then(tell, this.connection.report);
  }
}

/** Servers omit the key of an anonymous visitor. */
function member({ client, user }: Omit<ClientInfo, "user"> & { user?: string }): Member {
  return { client, user: user ?? "" };
}
