// Opens a page in Chromium and writes what happens there, a line for each thing:
// node browser.mjs PACKAGES CHROMIUM PROFILE URL SESSION
import { createRequire } from 'node:module'

const [packages, chromium, profile, url, session] = process.argv.slice(2)
const { chromium: driver } = createRequire(`${packages}/package.json`)('playwright-core')
const { hostname } = new URL(url)
const say = (what, text) => console.log(`${what}: ${text.replace(/\s+/g, ' ').trim()}`)

const context = await driver.launchPersistentContext(profile, {
  executablePath: chromium,
  headless: true,
  // A site of a test has made its certificate itself.
  ignoreHTTPSErrors: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
if (session) {
  await context.addCookies([{ name: 'sessionid', value: session, domain: hostname, path: '/', httpOnly: true, sameSite: 'Lax' }])
}
const page = await context.newPage()
page.on('console', (message) => say(message.type() === 'error' ? 'error' : 'console', message.text()))
page.on('pageerror', (error) => say('error', String(error)))
page.on('request', (request) => {
  if (new URL(request.url()).hostname !== hostname) say('outside', request.url())
})
page.on('websocket', (socket) => say('socket', socket.url()))
await page.exposeFunction('say', say)
await page.addInitScript(() => {
  addEventListener('instant-ready', () => window.say('page', 'ready'))
  addEventListener('instant-gap', ({ detail }) => window.say('gap', `${detail.reasons} of ${detail.channels.sort()}`))
  addEventListener('DOMContentLoaded', () => {
    const show = () => window.say('text', document.body.innerText)
    new MutationObserver(show).observe(document.body, { childList: true, characterData: true, subtree: true })
  })
})
await page.goto(url)
say('page', 'open')
