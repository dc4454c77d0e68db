// Tokens that end, with the official client: `node tokens.mjs WS_URL SECRET ORIGIN`.
import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
const require = createRequire(process.env.CLIENT_FOLDER + '/');
const { Centrifuge } = require('centrifuge');
const WebSocket = require('ws');

const [url, secret, origin] = process.argv.slice(2);
class Socket extends WebSocket {
    constructor(url, protocols) {
        super(url, protocols, { headers: { origin } });
    }
}
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const sign = (claims, seconds) => {
    const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ ...claims, exp: Math.floor(Date.now() / 1000) + seconds })}`;
    return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
};
const say = (what, value) => console.log(what, value === undefined ? '' : JSON.stringify(value));
const once = (emitter, event) => new Promise((done) => emitter.once(event, done));
// Hands out tokens that live for these seconds, one after the other, and tells when the last is taken.
const tokens = (claims, ...lives) => {
    let last;
    const taken = new Promise((done) => (last = done));
    const getToken = async () => {
        const life = lives.shift();
        if (lives.length === 0) last();
        return life === undefined ? '' : sign(claims, life);
    };
    return { getToken, taken };
};

// A connection is refreshed with another token, and goes on.
const connection = tokens({ sub: '1' }, 2, 3600);
const client = new Centrifuge(url, { websocket: Socket, getToken: connection.getToken, minReconnectDelay: 300, maxReconnectDelay: 400 });
let interruptions = 0;
client.on('connected', () => say('connected'));
client.connect();
await once(client, 'connected');
client.on('connecting', () => interruptions++);
await connection.taken;
await client.rpc('x', {}).catch((error) => say('still there', error.code));
say('interruptions', interruptions);

// So is a subscription.
const room = tokens({ sub: '1', channel: 'room:9' }, 2, 3600);
const subscription = client.newSubscription('room:9', { getToken: room.getToken });
subscription.on('unsubscribed', ({ code }) => say('unsubscribed', code));
subscription.subscribe();
await once(subscription, 'subscribed');
await room.taken;
await subscription.history({ limit: 1 });
say('subscribed still', subscription.state);

// A token of another user, of another channel, and one that has ended already.
for (const claims of [{ sub: '2', channel: 'room:8' }, { sub: '1', channel: 'room:7' }]) {
    const other = new Centrifuge(url, { websocket: Socket, getToken: tokens({ sub: '1' }, 3600).getToken });
    const ended = once(other, 'disconnected');
    other.connect();
    other.newSubscription('room:8', { token: sign(claims, 3600) }).subscribe();
    say('a foreign token', (await ended).code);
}
const late = tokens({ sub: '1' }, -60, 3600);
const patient = new Centrifuge(url, { websocket: Socket, getToken: late.getToken, minReconnectDelay: 100, maxReconnectDelay: 200 });
const error = once(patient, 'error');
patient.connect();
say('an ended token', (await error).error.code);
await once(patient, 'connected');
say('connected with the next');

// Without another token the page is told that it is nobody any more.
const nobody = new Centrifuge(url, { websocket: Socket, getToken: tokens({ sub: '1' }, 2).getToken });
const over = once(nobody, 'disconnected');
nobody.connect();
say('nobody', (await over).code);
process.exit(0);
