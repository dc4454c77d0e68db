// A page of the site: the official client under Node, with a browser's headers. It subscribes to channels and
// writes what happens, a JSON object a line: node browser.mjs FOLDER URL ORIGIN COOKIE CHANNEL…
import { createRequire } from 'node:module'

const [folder, url, origin, cookie, ...channels] = process.argv.slice(2)
const require = createRequire(`${folder}/package.json`)
const { Centrifuge } = require('centrifuge')
const WebSocket = require('ws')

class Browser extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { headers: { cookie, origin } })
  }
}

const say = (event, detail = {}) => console.log(JSON.stringify({ event, ...detail }))
const client = new Centrifuge(url, { websocket: Browser, minReconnectDelay: 50 })
client.on('connected', ({ client: id }) => say('connected', { id }))
client.on('connecting', ({ code }) => say('connecting', { code }))
client.on('disconnected', ({ code }) => say('disconnected', { code }))
client.on('subscribed', ({ channel }) => say('hears', { channel }))
client.on('publication', ({ channel, data }) => say('publication', { channel, data }))
client.on('error', ({ error }) => say('error', { error: error?.message }))
client.connect()

for (const channel of channels) {
  const subscription = client.newSubscription(channel)
  subscription.on('subscribed', () => say('subscribed', { channel }))
  subscription.on('unsubscribed', ({ code }) => say('unsubscribed', { channel, code }))
  subscription.on('publication', ({ data }) => say('publication', { channel, data }))
  subscription.subscribe()
}
