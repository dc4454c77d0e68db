// Uses each app of the demo as several people would, each in a browser of their own, and says what has been seen:
// node apps.mjs PACKAGES CHROMIUM URL PYTHON PROJECT PICTURES
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const [packages, chromium, url, python, project, pictures] = process.argv.slice(2)
const { chromium: driver } = createRequire(`${packages}/package.json`)('playwright-core')
const say = (text) => console.log(text)
const browser = await driver.launch({
  executablePath: chromium,
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
const { hostname } = new URL(url)

/** A browser in which nobody is logged in, or the user of this name. */
async function open(name) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 720 } })
  context.setDefaultTimeout(20_000)
  // Pages of the admin name no icon, and ask for the usual one.
  const isWrong = (message) => message.type() === 'error' && !message.location().url.endsWith('/favicon.ico')
  context.on('console', (message) => isWrong(message) && say(`error: ${name}: ${message.text()}`))
  context.on('weberror', (error) => say(`error: ${name}: ${error.error()}`))
  context.on('request', (request) => new URL(request.url()).hostname === hostname || say(`outside: ${request.url()}`))
  if (name) {
    const page = await context.newPage()
    await page.goto(url)
    await page.locator('.people').getByRole('button', { name }).click()
    await page.locator('#username', { hasText: name }).waitFor()
    await page.close()
  }
  return context
}

/** A page that hears what happens. What it hears is kept in `heard`. */
async function visit(context, path) {
  const page = await context.newPage()
  await page.goto(url + path)
  await page.locator('#connection.connected').waitFor()
  await page.evaluate(async () => {
    window.heard = []
    instant.on('*', ({ event_class, message }) => heard.push(`${event_class}: ${message}`))
    await instant.ready()
  })
  return page
}

const heard = (page, text) => page.waitForFunction((text) => heard.some((line) => line.includes(text)), text)

function manage(...words) {
  execFileSync(python, ['manage.py', ...words], { cwd: project, stdio: ['ignore', 'ignore', 'inherit'] })
}

async function picture(page, name) {
  if (!pictures) return
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    await page.screenshot({ path: join(pictures, `${name}-${colorScheme}.png`) })
  }
}

/** Waits until one of the texts says this. */
async function has(texts, wanted) {
  while (!texts.some((text) => text.includes(wanted))) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** Something to wait for that is given once. */
function signal() {
  let give
  const given = new Promise((resolve) => (give = resolve))
  return { give, given }
}

function check(truth, what) {
  if (!truth) throw new Error(what)
}

async function shop() {
  const [ada, cleo, dan] = await Promise.all(['ada', 'cleo', 'dan'].map(open))
  const [staff, customer, other] = await Promise.all([ada, cleo, dan].map((context) => visit(context, '/shop/')))
  const rows = (page, text) => page.locator('#orders tbody tr', { hasText: text })
  await rows(customer, 'Milk jug').waitFor()
  check((await rows(customer, 'Teapot').count()) === 0, "cleo sees dan's order")
  await customer.getByRole('button', { name: 'Sugar bowl' }).click()
  await rows(customer, 'Sugar bowl').locator('.status', { hasText: 'placed' }).waitFor()
  await rows(staff, 'Sugar bowl').filter({ hasText: 'cleo' }).getByRole('button', { name: 'paid' }).click()
  await rows(customer, 'Sugar bowl').locator('.status', { hasText: 'paid' }).waitFor()
  await heard(customer, 'Your order: Your Sugar bowl: paid')
  await rows(staff, 'Teapot').getByRole('button').click()
  await heard(other, 'Your order: Your Teapot: packed')
  check(!(await other.evaluate(() => heard.join())).includes('Sugar bowl'), "dan heard of cleo's order")
  check(!(await customer.evaluate(() => heard.join())).includes('Teapot'), "cleo heard of dan's order")
  await picture(staff, 'shop')
  await Promise.all([ada, cleo, dan].map((context) => context.close()))
}

async function chat() {
  const [ada, cleo, dan] = await Promise.all(['ada', 'cleo', 'dan'].map(open))
  const list = await visit(dan, '/chat/')
  const room = await list.getByRole('link', { name: 'Kitchen' }).getAttribute('href')
  const id = room.match(/\d+/)[0]
  const [staff, one, two] = await Promise.all([ada, cleo, dan].map((context) => visit(context, room)))
  const message = (page, name, text) => page.locator('#messages li', { hasText: text }).filter({ hasText: name })
  const write = (page, text) => page.getByLabel('Message').fill(text)
  await message(one, 'ben', 'Who took the last lemon?').waitFor()
  await write(two, 'I h')
  await one.locator('#typing', { hasText: 'dan … typing' }).waitFor()
  await Promise.all([write(one, 'There are two <b>left</b>'), write(two, 'I have it')])
  await Promise.all([one, two].map((page) => page.getByRole('button', { name: 'Send' }).click()))
  for (const page of [one, two]) {
    await message(page, 'cleo', 'There are two <b>left</b>').waitFor()
    await message(page, 'dan', 'I have it').waitFor()
  }
  await one.reload()
  await message(one, 'dan', 'I have it').waitFor()
  check((await message(one, 'dan', 'I have it').count()) === 1, 'a message is there twice')
  await picture(one, 'chat')
  // A page whose messages were asked for before one of them goes and another comes, and arrive afterwards.
  const [asked, happened] = [signal(), signal()]
  await ada.route('**/messages/', async (route) => {
    const response = await route.fetch()
    asked.give()
    await happened.given
    await route.fulfill({ response })
  })
  const frames = []
  ada.once('page', (page) => page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => frames.push(`${payload}`))))
  const slow = await visit(ada, room)
  await asked.given
  manage('shell', '-c', "from chat.models import Message; Message.objects.get(text='I have it').delete()")
  await has(frames, 'chat_message_deleted')
  await write(two, 'Meanwhile')
  await two.getByRole('button', { name: 'Send' }).click()
  await has(frames, 'Meanwhile')
  happened.give()
  await message(slow, 'ben', 'Who took the last lemon?').waitFor()
  await message(slow, 'dan', 'Meanwhile').waitFor()
  await message(slow, 'dan', 'I have it').waitFor({ state: 'detached' })
  // A page of the removed member that goes on listening, if it may.
  const listener = await visit(dan, '/shop/')
  await listener.evaluate(async (id) => {
    const room = instant.channel(`room:${id}`)
    instant.onError((error) => heard.push(`refused: ${error.message}`))
    await room.ready()
  }, id)
  await write(one, 'Before')
  await one.getByRole('button', { name: 'Send' }).click()
  await heard(listener, 'chat_message: Before')
  await staff.locator('#members li', { hasText: 'dan' }).getByRole('button', { name: 'Remove' }).click()
  await two.locator('#say input[name=text]:disabled').waitFor()
  await one.locator('#members li', { hasText: 'dan' }).waitFor({ state: 'detached' })
  await heard(listener, `refused: room:${id}`)
  await write(one, 'After')
  await one.getByRole('button', { name: 'Send' }).click()
  await message(one, 'cleo', 'After').waitFor()
  manage('read_feeds', '--limit', '1')
  await heard(listener, 'new_post')
  for (const page of [listener, two]) {
    check(!(await page.evaluate(() => heard.join())).includes('After'), 'a removed member has heard a message')
  }
  check((await two.request.get(url + room)).status() === 404, 'a removed member may read the room')
  await staff.locator('#members li', { hasText: 'dan' }).getByRole('button', { name: 'Add' }).click()
  await list.getByRole('link', { name: 'Kitchen' }).waitFor()
  // Who is no longer logged in keeps what it has written.
  await cleo.clearCookies({ name: 'sessionid' })
  await write(one, 'Unheard')
  await one.getByRole('button', { name: 'Send' }).click()
  await one.locator('#notice', { hasText: 'log in again' }).waitFor()
  check((await one.getByLabel('Message').inputValue()) === 'Unheard', 'what was written is gone')
  await Promise.all([ada, cleo, dan].map((context) => context.close()))
}

async function livefeed() {
  const [ada, ben, cleo] = await Promise.all(['ada', 'ben', 'cleo'].map(open))
  const feed = await visit(ben, '/livefeed/')
  const entry = (name, text) => feed.locator('#events li', { hasText: name }).filter({ hasText: text })
  const member = await entry('Membership created', 'dan in Kitchen').getByRole('link').getAttribute('href')
  check((await ada.request.get(url + member)).ok(), `${member} leads nowhere`)
  const admin = await ada.newPage()
  await admin.goto(`${url}/admin/chat/room/add/`)
  await admin.getByLabel('Name').fill('Pantry')
  await admin.getByRole('button', { name: 'Save and continue' }).click()
  const created = entry('Room created in the admin', 'Pantry').filter({ hasText: 'ada' })
  await created.waitFor()
  const place = new URL(await created.getByRole('link').getAttribute('href'), url).href
  check(place === admin.url(), `${place} is not ${admin.url()}`)
  await admin.getByRole('link', { name: 'Delete' }).click()
  await admin.getByRole('button', { name: 'Yes' }).click()
  await entry('Room deleted in the admin', 'Pantry').waitFor()
  manage('shell', '-c', "from shop.models import Order; Order.objects.filter(product='Teapot').update(status='sent')")
  await entry('Order edited', 'Teapot: sent').filter({ hasText: 'dan' }).waitFor()
  const log = await visit(ada, '/livefeed/')
  await log.getByRole('button', { name: 'ERROR' }).click()
  await entry('Log ERROR', 'ada tries the log').waitFor()
  const tile = (page, name) => page.locator('#classes .tile', { hasText: name })
  check((await tile(feed, 'Log ERROR').locator('b').textContent()) === '1', 'the counter counts')
  // Who comes later sees the same.
  const later = await visit(ada, '/livefeed/')
  await tile(later, 'Room created in the admin').waitFor()
  manage('shell', '-c', "import logging\nfor n in range(40): logging.getLogger('shop').info('line %d', n)")
  await entry('Log INFO', 'line 39').waitFor()
  check((await feed.locator('#events li').count()) === 30, 'the latest 30 are shown')
  await picture(later, 'livefeed')
  const stranger = await visit(cleo, '/')
  const refusal = stranger.evaluate(() => {
    instant.onError(() => {})
    return instant.channel('feed:staff').ready().then(() => '', String)
  })
  check((await refusal).includes('feed:staff'), 'cleo may hear the live feed')
  await Promise.all([ada, ben, cleo].map((context) => context.close()))
}

async function presence() {
  const [visitor, another, cleo, dan] = await Promise.all([open(''), open(''), open('cleo'), open('dan')])
  const page = await visit(visitor, '/presence/')
  const shows = (users, anonymous, names) =>
    page.waitForFunction(
      ([users, anonymous, names]) =>
        document.querySelector('#users').textContent === users &&
        document.querySelector('#anonymous').textContent === anonymous &&
        document.querySelector('#names').innerText.split('\n').join() === names,
      [`${users}`, `${anonymous}`, names],
    )
  await shows(0, 1, '')
  const tabs = [await visit(cleo, '/'), await visit(cleo, '/feeds/')]
  await shows(1, 1, 'cleo')
  await visit(dan, '/presence/')
  await visit(another, '/')
  await shows(2, 2, 'cleo,dan')
  await picture(page, 'presence')
  await tabs[0].close()
  await another.close()
  await shows(2, 1, 'cleo,dan')
  await tabs[1].close()
  await shows(1, 1, 'dan')
  await Promise.all([visitor, cleo, dan].map((context) => context.close()))
}

async function hits() {
  const [ben, cleo, visitor] = await Promise.all([open('ben'), open('cleo'), open('')])
  const feed = await visit(ben, '/hits/')
  const row = (path, user) => feed.locator('#hits tr', { hasText: `GET ${path}` }).filter({ hasText: user })
  await visit(visitor, '/feeds/')
  await row('/feeds/ 200', 'visitor').filter({ hasText: '127.0.0.1' }).waitFor()
  const page = await visit(cleo, '/chat/')
  await row('/chat/', 'cleo').waitFor()
  await page.getByRole('link', { name: 'Backstage' }).click()
  await row('/chat/', 'cleo').filter({ hasText: '/messages/' }).first().waitFor()
  await feed.locator('#tree > li', { hasText: 'feeds' }).waitFor()
  await feed.locator('#tree > li', { hasText: 'chat' }).locator('li', { hasText: 'messages' }).first().waitFor()
  await feed.waitForFunction(() => new Set(document.querySelector('#curve polyline').points).size && [...document.querySelector('#curve polyline').points].some(({ y }) => y < 90))
  // What clients send is no object of JavaScript's, and need not be an address.
  for (const path of ['/constructor/x', '/__proto__/y']) {
    await visitor.request.get(url + path, { headers: { referer: 'nowhere' } })
    await row(path, 'nowhere').waitFor()
  }
  await feed.locator('#tree > li', { hasText: 'constructor' }).locator('li', { hasText: 'x' }).waitFor()
  await feed.reload()
  await row('/__proto__/y', 'nowhere').waitFor()
  await picture(feed, 'hits')
  // Only so many rows are kept: one with this number takes what is 10,000 older with it.
  manage('shell', '-c', "from django.db import connection; connection.cursor().execute(\"select setval('hits_hit_id_seq', 19999)\")")
  await visit(visitor, '/')
  manage('shell', '-c', "from hits.models import Hit; assert Hit.objects.order_by('pk')[0].pk == 20000")
  await Promise.all([ben, cleo, visitor].map((context) => context.close()))
}

async function feeds() {
  const [visitor, ben] = await Promise.all([open(''), open('ben')])
  const pages = [await visit(visitor, '/feeds/'), await visit(ben, '/feeds/')]
  const folder = mkdtempSync(join(tmpdir(), 'rss-'))
  const publish = (name, count) => {
    const items = Array.from({ length: count }, (_, index) => `<item><title>${name} ${count - index}</title><guid>${name}/${index}</guid></item>`)
    writeFileSync(join(folder, `${name}.xml`), `<rss version="2.0"><channel><title>${name}</title>${items.join('')}</channel></rss>`)
    manage('read_feeds', folder)
  }
  const badge = (page) => page.locator('#new')
  for (const page of pages) {
    await page.evaluate(() => {
      window.shown = []
      const badge = document.querySelector('#new')
      new MutationObserver(() => shown.push(badge.textContent)).observe(badge, { childList: true })
    })
  }
  publish('few', 3)
  for (const page of pages) {
    await badge(page).filter({ hasText: '3 new posts available' }).waitFor()
    await badge(page).click()
    await page.locator('#posts h2', { hasText: 'few 3' }).waitFor()
    await badge(page).waitFor({ state: 'hidden' })
  }
  publish('burst', 500)
  for (const page of pages) {
    await badge(page).filter({ hasText: '500 new posts available' }).waitFor()
    const shown = await page.evaluate(() => shown.slice(shown.indexOf('500 new posts available') - 1))
    check(shown.length === 2 && shown[0].startsWith('0 '), `a burst is one badge: ${shown}`)
  }
  await picture(pages[1], 'feeds')
  await badge(pages[0]).click()
  await pages[0].locator('#posts h2', { hasText: 'burst 500' }).waitFor()
  rmSync(folder, { recursive: true })
  const token = await pages[1].locator('[name=csrfmiddlewaretoken]').last().inputValue()
  const nonsense = await ben.request.post(`${url}/feeds/burst/`, { form: { csrfmiddlewaretoken: token, count: 'many' } })
  check(nonsense.status() === 400, `many posts: ${nonsense.status()}`)
  await Promise.all([visitor, ben].map((context) => context.close()))
}

for (const app of [shop, chat, livefeed, presence, hits, feeds]) {
  await app()
  say(`seen: ${app.name}`)
}
const front = await visit(await open('cleo'), '/')
await picture(front, 'home')
await browser.close()
say('all seen')
