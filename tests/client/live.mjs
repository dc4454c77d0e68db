// Uses the live page as a person would, and writes each step when it is done:
// node live.mjs PACKAGES CHROMIUM PROFILE URL SESSION PICTURE
import { createRequire } from 'node:module'

const [packages, chromium, profile, url, session, picture] = process.argv.slice(2)
const { chromium: driver } = createRequire(`${packages}/package.json`)('playwright-core')
const say = (text) => console.log(text.replace(/\s+/g, ' ').trim())

const context = await driver.launchPersistentContext(profile, {
  executablePath: chromium,
  headless: true,
  viewport: { width: 1280, height: 800 },
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
if (session) {
  await context.addCookies([{ name: 'sessionid', value: session, domain: 'localhost', path: '/', httpOnly: true, sameSite: 'Lax' }])
}
const page = await context.newPage()
page.on('console', (message) => message.type() === 'error' && say(`error: ${message.text()}`))
page.on('pageerror', (error) => say(`error: ${error}`))
page.on('request', (request) => new URL(request.url()).hostname === 'localhost' || say(`outside: ${request.url()}`))
await page.goto(url)
await page.locator('#connection.open').waitFor()
say(`live at ${new URL(page.url()).pathname}${new URL(page.url()).search}`)

const row = (text) => page.locator('#events summary', { hasText: text })
await row('Order A-1').waitFor()
await row('red').waitFor()
say(`shown ${await page.locator('#events li').count()}`)
await page.keyboard.press('/')
await page.keyboard.type('room:red')
await row('Order A-1').waitFor({ state: 'detached' })
say(`filtered ${await page.locator('#events li').count()}`)
await page.locator('#filter').fill('')
await page.keyboard.press('Escape')

await page.keyboard.press('p')
await page.locator('#pause[aria-pressed=true]').waitFor()
say('paused')
await page.locator('#held', { hasText: '1 event waits' }).waitFor()
await page.keyboard.press('p')
await row('Order A-2').waitFor()
say('went on')

await page.keyboard.press('j')
await page.keyboard.press('Enter')
await page.locator('#events pre', { hasText: '"number": "A-2"' }).waitFor()
say('opened')

const form = page.locator('#send')
await form.getByLabel('Message').fill('Back in five minutes')
await form.getByLabel('Class').fill('important')
await form.getByLabel('For').selectOption('target:staff')
await page.getByRole('button', { name: 'Send' }).click()
await row('Back in five minutes').waitFor()
say(`sent to ${await row('Back in five minutes').locator('.channel').textContent()}`)

await page.getByRole('button', { name: /^Retry letter/ }).waitFor()
say('parked')
if (picture) {
  await page.evaluate(() => scrollTo(0, 0))
  await page.locator('#classes tbody tr svg').nth(2).waitFor()
  await page.screenshot({ path: `${picture}/live.png` })
  await page.emulateMedia({ colorScheme: 'dark' })
  await page.screenshot({ path: `${picture}/live-dark.png` })
}
const told = page.locator('#retried')
while (!(await told.textContent()).startsWith('sent 1')) {
  await page.getByRole('button', { name: /^Retry letter/ }).click()
  await page.waitForFunction(() => document.querySelector('#retried').textContent.startsWith('sent '))
  say(await told.textContent())
}
await row('Xanadu').waitFor()
await page.getByText('Nothing was parked.').waitFor()
say('delivered')
await page.locator('#classes tbody tr svg').nth(3).waitFor()
say(`counted ${await page.locator('#classes tbody tr').count()} classes; ${await page.locator('#who').textContent()}`)
await page.locator('#connection.closed').waitFor({ timeout: 60_000 })
say('ended')
await context.close()
