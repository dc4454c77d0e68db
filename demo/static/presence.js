// Every page's connection shows that somebody is online. A user with two tabs is two members, and one name.
const online = instant.channel("online:everyone");
const members = new Map();
const names = {};

async function showPresence() {
  const unknown = [...members.values()].filter((user) => user && !(user in names));
  if (unknown.length && document.querySelector("#names")) {
    const answer = await fetch(`/presence/names/?${unknown.map((user) => `id=${user}`).join("&")}`);
    Object.assign(names, await answer.json());
  }
  const users = new Set([...members.values()].filter(Boolean));
  const anonymous = [...members.values()].filter((user) => user === "").length;
  document.querySelector("#online").textContent = `${users.size + anonymous} online`;
  if (!document.querySelector("#names")) return;
  document.querySelector("#users").textContent = users.size;
  document.querySelector("#anonymous").textContent = anonymous;
  const sorted = [...users].map((user) => names[user] ?? user).sort();
  document.querySelector("#names").replaceChildren(...sorted.map((name) => make("li", {}, name)));
}

online.here((all) => {
  members.clear();
  all.forEach(({ client, user }) => members.set(client, user));
  return showPresence();
});
online.joining(({ client, user }) => {
  members.set(client, user);
  return showPresence();
});
online.leaving(({ client }) => {
  members.delete(client);
  return showPresence();
});
