// Code that the pages share.

// Milliseconds that a part of a page may take to load. Events wait a little longer.
const PATIENCE = 9_000;

/** Whether an answer comes from the requested address. A user who is no longer logged in is redirected to another. */
function arrived(answer) {
  return answer.ok && !answer.redirected;
}

// A form marked `data-quiet` is sent without leaving the page: its effect arrives as events. It is refilled if sending failed.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-quiet]")) return;
  event.preventDefault();
  const body = new FormData(form, event.submitter);
  form.reset();
  const answer = await fetch(form.action, { method: "POST", body }).catch(Response.error);
  if (arrived(answer)) return;
  for (const [name, value] of body) {
    const field = form.elements[name];
    if (field.value === field.defaultValue) field.value = value;
  }
  complain(answer);
});

/** Reports a failed request. */
function complain(answer) {
  notice(answer.redirected ? "That did not work: log in again." : `That did not work (${answer.status || "no answer"}).`);
}

/** Loads an element from its `data-url`, now and after each gap; returns a function that reloads it. `done` is called after each load. */
function part(selector, done = () => {}) {
  const element = document.querySelector(selector);
  return instant.load(async () => {
    const answer = await fetch(element.dataset.url, { signal: AbortSignal.timeout(PATIENCE) });
    if (!arrived(answer)) return complain(answer);
    element.innerHTML = await answer.text();
    done();
  });
}

/** Calls `show` with each event of a channel: first its history, then new events. `clear` is called before it starts over. */
function replay(channel, clear, show) {
  let known = new Set();
  instant.load(async () => {
    const kept = (await channel.history({ limit: 200, reverse: true })).reverse();
    known = new Set(kept.map(({ id }) => id));
    clear();
    kept.forEach(show);
  });
  channel.on("*", (event) => known.has(event.id) || show(event));
}

/** Makes an element with children, which are elements or text. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Shows a line for some seconds. */
function notice(text) {
  const element = document.querySelector("#notice");
  element.textContent = text;
  element.hidden = false;
  clearTimeout(notice.timer);
  notice.timer = setTimeout(() => (element.hidden = true), 5000);
}

/** The time of an event, as a clock shows it. */
function clock(at) {
  return new Date(at).toLocaleTimeString("en-GB");
}

const connection = document.querySelector("#connection");
instant.onState((state) => {
  connection.className = state;
  connection.title = state;
});
