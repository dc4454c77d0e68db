// The official client against Centrifugo or the hub: `node client.mjs WS_URL API_URL COOKIE ORIGIN`.
// It prints one line for each thing that has happened, the same for both servers.
import { createRequire } from 'node:module';
const require = createRequire(process.env.CLIENT_FOLDER + '/');
const { Centrifuge } = require('centrifuge');
const WebSocket = require('ws');

const [url, api, cookie, origin] = process.argv.slice(2);
const sockets = [];

class Socket extends WebSocket {
    constructor(url, protocols) {
        super(url, protocols, { headers: { cookie: `sessionid=${cookie}`, origin } });
        sockets.push(this);
    }
}

const say = (what, value) => console.log(what, value === undefined ? '' : JSON.stringify(value));
const call = async (method, body) => {
    const reply = await fetch(`${api}/api/${method}`, { method: 'POST', headers: { 'X-API-Key': 'an api key' }, body: JSON.stringify(body) });
    return reply.json();
};
const publish = (channel, data) => call('publish', { channel, data });
const once = (emitter, event) => new Promise((done) => emitter.once(event, done));
const client = (options = {}) => new Centrifuge(url, { websocket: Socket, minReconnectDelay: 300, maxReconnectDelay: 400, ...options });

// Server-side subscriptions and publications.
const first = client();
const channels = [];
first.on('subscribed', (context) => channels.push(context.channel));
let heard = once(first, 'publication');
first.connect();
await once(first, 'connected');
await publish('public', { hello: 1 });
const { channel, data } = await heard;
say('server-side', { channels: channels.sort(), channel, data });

// A room: join, publications with offsets, presence, history, publishing.
const room = first.newSubscription('room:1', { recoverable: true, joinLeave: true });
const publications = [];
room.on('publication', (context) => publications.push([context.data, context.offset]));
let joined = once(room, 'join');
room.subscribe();
const subscribed = await once(room, 'subscribed');
say('subscribed', { recoverable: subscribed.recoverable, positioned: subscribed.positioned, recovered: subscribed.recovered, was: subscribed.wasRecovering, offset: subscribed.streamPosition.offset });
say('join', (await joined).info.user);
heard = once(room, 'publication');
await room.publish({ by: 'client' });
say('published', [(await heard).data, (await heard).info.user]);
say('presence', Object.values((await room.presence()).clients).map((info) => info.user));
say('presence stats', await room.presenceStats());
const history = await room.history({ limit: 10 });
say('history', { publications: history.publications.map((publication) => [publication.data, publication.offset]), offset: history.offset });

// Another comes and goes.
const second = client();
const other = second.newSubscription('room:1');
joined = once(room, 'join');
second.connect();
other.subscribe();
say('join', (await joined).info.user);
let left = once(room, 'leave');
other.unsubscribe();
say('leave', (await left).info.user);
second.disconnect();

// A cut, and what was missed meanwhile.
let again = once(room, 'subscribed');
const cut = once(first, 'connecting');
sockets[0].terminate();
say('cut', (await cut).code);
for (const number of [2, 3, 4]) await publish('room:1', { number });
let context = await again;
say('recovered', { recovered: context.recovered, was: context.wasRecovering, publications: publications.slice(-3) });

// A cut, and more was missed than the history keeps.
again = once(room, 'subscribed');
sockets.at(-1).terminate();
await once(first, 'connecting');
for (let number = 5; number < 15; number++) await publish('room:1', { number });
context = await again;
say('gap', { recovered: context.recovered, was: context.wasRecovering, offset: context.streamPosition.offset, publications: publications.length });

// Refusals.
for (const name of ['staff', 'unknown:1', '$room:2']) {
    const refused = first.newSubscription(name);
    const error = once(refused, 'unsubscribed');
    refused.subscribe();
    say(name, (await error).code);
}
say('rpc', await first.rpc('x', {}).catch((error) => error.code));

// What the server takes away.
const gone = once(room, 'unsubscribed');
await call('unsubscribe', { user: '1', channel: 'room:1' });
say('unsubscribed', (await gone).code);
const back = once(first, 'connected');
await call('disconnect', { user: '1', disconnect: { code: 4001, reason: 'again' } });
await back;
say('connected again');
const end = once(first, 'disconnected');
await call('disconnect', { user: '1' });
say('disconnected', (await end).code);

// A connection token, from the page's own address.
const getToken = async () => {
    const reply = await fetch(`${process.env.INSTANT}/token`, { method: 'POST', headers: { cookie: `sessionid=${cookie}`, origin } });
    return (await reply.json()).token;
};
class Bare extends WebSocket {
    constructor(url, protocols) {
        super(url, protocols, { headers: { origin } });
    }
}
const third = new Centrifuge(url, { websocket: Bare, getToken });
heard = once(third, 'publication');
third.connect();
await once(third, 'connected');
await publish('#1', 'for one user');
say('with a token', (await heard).data);
const forged = new Centrifuge(url, { websocket: Bare, token: 'a.b.c' });
const refused = once(forged, 'disconnected');
forged.connect();
say('a forged token', (await refused).code);

// Networks without WebSockets: the same over plain HTTP.
const asPage = (address, options = {}) => fetch(address, { ...options, headers: { ...options.headers, cookie: `sessionid=${cookie}`, origin } });
class Source {
    constructor(address) {
        this.control = new AbortController();
        this.read(address).catch((error) => this.onerror?.(error));
    }
    async read(address) {
        const reply = await asPage(address, { signal: this.control.signal });
        if (!reply.ok) throw new Error(reply.status);
        this.onopen();
        let text = '';
        for await (const chunk of reply.body.pipeThrough(new TextDecoderStream())) {
            const messages = (text + chunk).split('\n\n');
            text = messages.pop();
            for (const message of messages) this.onmessage({ data: message.trim().replace(/^data: /, '') });
        }
        throw new Error('closed');
    }
    close() {
        this.control.abort();
    }
}
for (const transport of ['http_stream', 'sse']) {
    const endpoint = url.replace('ws:', 'http:').replace('websocket', transport);
    const plain = new Centrifuge([{ transport, endpoint }], {
        fetch: asPage, eventsource: Source, readableStream: ReadableStream, emulationEndpoint: `${api}/emulation`, minReconnectDelay: 300, maxReconnectDelay: 400,
    });
    const place = plain.newSubscription('room:2');
    const heardThere = [];
    place.on('publication', (context) => heardThere.push([context.data, context.offset]));
    plain.connect();
    place.subscribe();
    await once(place, 'subscribed');
    await place.publish({ over: transport });
    await call('publish', { channel: 'room:2', data: { spaced: 'a\nb' } });
    say(transport, { publications: (await place.history({ limit: 10 })).publications.length, presence: Object.values((await place.presence()).clients).length, heardThere });
    let cutOff = once(plain, 'connecting');
    const here = once(place, 'subscribed');
    await call('disconnect', { user: '1', disconnect: { code: 4001, reason: 'again' } });
    say('cut', (await cutOff).code);
    say('recovered', (await here).recovered);
    const over = once(plain, 'disconnected');
    await call('disconnect', { user: '1' });
    say('disconnected', (await over).code);
}
process.exit(0);
