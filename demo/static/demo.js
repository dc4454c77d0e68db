// What the pages share.

// A form marked `data-quiet` is sent without leaving the page: what it does is heard.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-quiet]")) return;
  event.preventDefault();
  const body = new FormData(form, event.submitter);
  form.reset();
  const answer = await fetch(form.action, { method: "POST", body });
  if (!answer.ok) notice(`That did not work (${answer.status}).`);
});

/** Returns a function that loads an element from its `data-url`. Calls that come while it loads are one more load together. */
function part(selector) {
  const element = document.querySelector(selector);
  let running = Promise.resolve();
  let next = null;
  const load = async () => {
    const answer = await fetch(element.dataset.url);
    if (answer.ok) element.innerHTML = await answer.text();
  };
  return () =>
    (next ??= running.then(() => {
      next = null;
      running = load().catch(console.error);
      return running;
    }));
}

/** Calls `show` with each event of a channel: those that it keeps, and then what comes. `clear` is called before it begins again. */
function replay(channel, clear, show) {
  let waiting = [];
  const load = async () => {
    waiting = [];
    const kept = (await channel.history({ limit: 200, reverse: true })).reverse();
    const known = new Set(kept.map(({ id }) => id));
    clear();
    [...kept, ...waiting.filter(({ id }) => !known.has(id))].forEach(show);
    waiting = null;
  };
  channel.on("*", (event) => (waiting ? waiting.push(event) : show(event)));
  instant.onGap(({ channels }) => channels.includes(channel.name) && load());
  return load();
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
