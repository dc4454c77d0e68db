// The live page: events are counted immediately and shown frame by frame, so that thousands of events per second stay readable.

const KEPT = 1000 // events that can be searched
const SHOWN = 200 // of those that match
const NAMES = 500 // classes and channels that are counted by name
const LISTED = 12
const SECONDS = 60
const KINDS = ['important', 'ok', 'info', 'debug', 'warning', 'error', 'created', 'edited', 'deleted', 'left', 'resync']

const find = (id) => document.getElementById(id)
const make = (tag, text = '', kind = '') => {
  const element = document.createElement(tag)
  element.textContent = text
  if (kind) element.className = kind
  return element
}
const number = (value) => value.toLocaleString('en')
const counted = (value, one, many) => `${number(value)} ${value === 1 ? one : many}`

// The kind of a class is its last word that names one: "Order edited" is edited, "Log ERROR" an error.
const kindOf = (name) => {
  const words = name.toLowerCase().split(/[^a-z]+/).reverse()
  return words.find((word) => KINDS.includes(word)) ?? ''
}

class Counter {
  constructor(table) {
    this.body = find(table).tBodies[0]
    this.names = new Map()
  }

  count(name) {
    let row = this.names.get(name)
    if (!row) {
      const known = this.names.size < NAMES
      row = this.names.get('others') ?? { total: 0, seconds: new Array(SECONDS).fill(0) }
      if (known) row = { total: 0, seconds: new Array(SECONDS).fill(0) }
      this.names.set(known ? name : 'others', row)
    }
    row.total += 1
    row.seconds[SECONDS - 1] += 1
  }

  // Once per second.
  draw(label) {
    const largest = [...this.names].sort(([, a], [, b]) => b.total - a.total).slice(0, LISTED)
    this.body.replaceChildren(...largest.map(([name, row]) => {
      const line = make('tr')
      const first = make('td')
      first.append(label(name))
      first.title = name
      const second = make('td')
      second.append(spark(row.seconds))
      line.append(first, second, make('td', number(row.total)))
      return line
    }))
    for (const row of this.names.values()) {
      row.seconds.shift()
      row.seconds.push(0)
    }
  }

  clear() {
    this.names.clear()
  }
}

const spark = (seconds) => {
  const space = 'http://www.w3.org/2000/svg'
  const svg = document.createElementNS(space, 'svg')
  svg.setAttribute('viewBox', `0 0 ${SECONDS - 1} 10`)
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-label', `${seconds.reduce((sum, value) => sum + value, 0)} in the last minute`)
  const line = document.createElementNS(space, 'polyline')
  const most = Math.max(1, ...seconds)
  line.setAttribute('points', seconds.map((value, at) => `${at},${9.5 - (9 * value) / most}`).join(' '))
  svg.append(line)
  return svg
}

const classes = new Counter('classes')
const channels = new Counter('channels')
const list = find('events')
let kept = []
let fresh = []
let total = 0
let paused = false
let skipped = 0
let scheduled = false

const take = ({ channel, refused, event }) => {
  const { event_class: name = '', message = '', model = '', at = '' } = event ?? { message: 'too large to show' }
  classes.count(name || 'default')
  channels.count(channel)
  total += 1
  fresh.push({ channel, refused, event, name, message, at, text: `${name} ${channel} ${model} ${message}`.toLowerCase() })
  if (fresh.length > KEPT) fresh.shift()
  schedule()
}

const schedule = () => {
  if (scheduled) return
  scheduled = true
  requestAnimationFrame(() => {
    scheduled = false
    show()
  })
}

const matches = (item) => item.text.includes(find('filter').value.trim().toLowerCase())

const show = () => {
  find('total').textContent = number(total)
  const held = find('held')
  held.hidden = !(paused && fresh.length) && !skipped
  held.textContent = [
    paused && fresh.length ? counted(fresh.length, 'event waits', 'events wait') : '',
    skipped ? `${counted(skipped, 'event', 'events')} arrived faster than this page could take them` : '',
  ].filter(Boolean).join('; ')
  if (paused) return
  kept = kept.concat(fresh).slice(-KEPT)
  const rows = fresh.filter(matches).slice(-SHOWN).reverse().map(row)
  fresh = []
  list.prepend(...rows)
  while (list.children.length > SHOWN) list.lastElementChild.remove()
  find('empty').hidden = list.children.length > 0
}

// Everything that is kept, with another filter.
const again = () => {
  list.replaceChildren(...kept.filter(matches).slice(-SHOWN).reverse().map(row))
  find('empty').hidden = list.children.length > 0
}

// The viewer's local time, to the millisecond.
const timeOf = (at) => {
  const time = new Date(at)
  return Number.isNaN(time.valueOf()) ? '' : `${time.toTimeString().slice(0, 8)}.${String(time.getMilliseconds()).padStart(3, '0')}`
}

const row = ({ channel, refused, event, name, message, at }) => {
  const details = make('details')
  const summary = make('summary')
  summary.append(
    make('time', timeOf(at)),
    make('span', name || 'default', `label ${kindOf(name)}`),
    make('span', channel, 'channel'),
    refused ? make('span', `refused: ${refused.message} (code ${refused.code})`, 'message refused') : make('span', message, 'message'),
  )
  details.append(summary)
  details.addEventListener('toggle', () => {
    if (details.open && !details.querySelector('pre')) details.append(make('pre', JSON.stringify(event, null, 2)))
  })
  const item = make('li')
  item.append(details)
  return item
}

const status = ({ site, role, lag_seconds: lag, depth, connected }) => {
  find('site').textContent = site ?? ''
  const figure = (id, value, bad = false) => {
    find(id).textContent = value
    find(id).classList.toggle('bad', bad)
  }
  figure('role', role, role !== 'leading')
  figure('lag', `${lag.toFixed(1)} s`, lag > 10)
  if (depth) {
    const { backlog, outbox, dead_letters: dead, lost } = depth
    figure('backlog', `${number(backlog.changes)}${backlog.more ? '+' : ''}`)
    figure('outbox', `${(outbox.bytes / 1e6).toFixed(1)} MB`)
    figure('lost', number(lost.counted), lost.counted > 0)
    if (find('dead').textContent !== number(dead)) letters()
    figure('dead', number(dead), dead > 0)
  }
  if (connected) present(connected)
}

const present = ({ clients, users, channels: subscribed, listed_users: people, listed_channels: audiences }) => {
  find('clients').textContent = number(clients)
  find('users').textContent = number(users)
  const named = (people ?? []).filter(([user]) => user)
  const visitors = (people ?? []).find(([user]) => !user)?.[1] ?? 0
  const parts = [
    named.length ? `users ${named.map(([user, count]) => (count > 1 ? `${user} (${count})` : user)).join(', ')}` : '',
    visitors ? counted(visitors, 'visitor', 'visitors') : '',
    people ? '' : [counted(clients, 'connection', 'connections'), counted(users, 'user', 'users'), counted(subscribed, 'channel', 'channels')].join(', '),
  ]
  find('who').textContent = parts.filter(Boolean).join(', ') || 'Nobody is connected.'
  const table = find('audiences')
  table.hidden = !audiences?.length
  table.tBodies[0].replaceChildren(...(audiences ?? []).slice(0, LISTED).map(([channel, count]) => {
    const line = make('tr')
    line.append(make('td', channel), make('td', number(count)))
    return line
  }))
}

const ask = async (path, body) => {
  const sent = body === undefined ? {} : {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
  }
  const answer = await fetch(path, sent)
  if (!answer.ok) throw new Error((await answer.text()).trim() || answer.statusText)
  return answer.json()
}

const report = (id, text, failed = false) => {
  find(id).textContent = text
  find(id).classList.toggle('failed', failed)
}

const letters = async () => {
  const found = await ask('/live/dead').catch(() => [])
  const table = find('letters').querySelector('table')
  table.hidden = found.length === 0
  find('no-letters').hidden = found.length > 0
  find('retry-all').hidden = found.length < 2
  find('retry-all').onclick = () => retry(found.map(({ id }) => id))
  table.tBodies[0].replaceChildren(...found.map(({ id, model, rule, channel, reason }) => {
    const line = make('tr')
    const button = make('button', 'Retry')
    button.type = 'button'
    button.setAttribute('aria-label', `Retry letter ${id}`)
    button.addEventListener('click', () => retry([id]))
    const last = make('td')
    last.append(button)
    line.append(make('td', `${model}/${rule}`), make('td', channel ?? '–'), make('td', reason), last)
    return line
  }))
}

const retry = async (ids) => {
  report('retried', 'sending …')
  try {
    const { sent, obsolete, refused, interrupted } = await ask('/live/dead/retry', { ids })
    report('retried', `sent ${sent}, no longer needed ${obsolete}, refused again ${refused}${interrupted ? `; ${interrupted}` : ''}`, refused > 0)
  } catch (error) {
    report('retried', error.message, true)
  }
  letters()
}

const form = find('send')
const audience = form.elements.audience
const NAMED = { group: 'The group', user: 'The user’s key', channel: 'The channel' }
audience.addEventListener('change', () => {
  const label = NAMED[audience.value]
  find('named').hidden = !label
  find('named').firstElementChild.textContent = label ?? ''
  form.elements.name.required = Boolean(label)
})
form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const { message, event_class: name, name: named, data } = form.elements
  const draft = { message: message.value, event_class: name.value || 'default' }
  const chosen = audience.value
  if (chosen.startsWith('target:')) draft.target = chosen.slice('target:'.length)
  if (chosen === 'group') draft.target = `group:${named.value}`
  if (chosen === 'user') draft.target = `#${named.value}`
  if (chosen === 'channel') draft.channel = named.value
  try {
    if (data.value.trim()) draft.data = JSON.parse(data.value)
    await ask('/live/send', draft)
    report('sent', 'sent')
    message.value = ''
  } catch (error) {
    report('sent', error.message, true)
  }
})

find('filter').addEventListener('input', again)
const pause = () => {
  paused = !paused
  find('pause').setAttribute('aria-pressed', String(paused))
  find('pause').textContent = paused ? 'Resume' : 'Pause'
  schedule()
}
find('pause').addEventListener('click', pause)
find('clear').addEventListener('click', () => {
  kept = []
  fresh = []
  total = 0
  skipped = 0
  classes.clear()
  channels.clear()
  again()
  show()
})

const step = (by) => {
  const rows = [...list.querySelectorAll('summary')]
  const at = rows.indexOf(document.activeElement)
  rows[Math.min(Math.max(at + by, 0), rows.length - 1)]?.focus()
}
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (event.target.closest('input, select, textarea')) {
    if (event.key === 'Escape') event.target.blur()
    return
  }
  const act = { '/': () => find('filter').focus(), p: pause, j: () => step(1), k: () => step(-1) }[event.key]
  if (!act) return
  event.preventDefault()
  act()
})

setInterval(() => {
  classes.draw((name) => make('span', name, `label ${kindOf(name)}`))
  channels.draw((name) => document.createTextNode(name))
}, 1000)

const state = (text, kind = '') => {
  find('connection').textContent = text
  find('connection').className = kind
}
// A refusal ends the stream for good: after a log-out, or while no process leads. Either may be temporary.
const connect = () => {
  const source = new EventSource('/live/events')
  source.addEventListener('open', () => state('live', 'open'))
  source.addEventListener('error', () => {
    if (source.readyState !== EventSource.CLOSED) return state('reconnecting')
    state('ended: log in again, or wait for the leader', 'closed')
    setTimeout(connect, 5000)
  })
  source.addEventListener('event', ({ data }) => take(JSON.parse(data)))
  source.addEventListener('status', ({ data }) => status(JSON.parse(data)))
  source.addEventListener('skipped', ({ data }) => {
    skipped += Number(data)
    schedule()
  })
}
connect()
