// Messages are loaded once the room is subscribed, and then arrive by themselves.
const { room: id } = document.querySelector("#room").dataset;
const own = document.body.dataset.username;
const list = document.querySelector("#messages");
const field = document.querySelector("#say input[name=text]");
const room = instant.channel(`room:${id}`);
const typing = instant.channel(`typing:${id}`);
const find = (pk) => list.querySelector(`[data-pk="${pk}"]`);
const bottom = () => (list.scrollTop = list.scrollHeight);
const loadMembers = part("#members");

part("#messages", bottom);
room.on("chat_members", ({ data }) => String(data.user_id) !== document.body.dataset.user && loadMembers());
room.on("chat_message_deleted", ({ pk }) => find(pk)?.remove());
room.on("chat_message", ({ message, data, pk }) => {
  const name = data.author.username;
  stopped(name);
  if (find(pk)) return;
  const time = new Date(data.said).toISOString().slice(11, 16);
  list.append(
    make("li", { "data-pk": pk, class: name === own ? "own" : "" }, make("b", {}, name), make("span", {}, message), make("time", {}, time)),
  );
  bottom();
});

// Typing is announced at most once in two seconds, and shown for three.
const typists = new Map();
let told = 0;
function show() {
  const names = [...typists.keys()];
  document.querySelector("#typing").textContent = names.length ? `${names.join(", ")} … typing` : "\u00a0";
}
function stopped(name) {
  clearTimeout(typists.get(name));
  typists.delete(name);
  show();
}
typing.on("typing", ({ data: { username } }) => {
  if (username === own) return;
  clearTimeout(typists.get(username));
  typists.set(username, setTimeout(stopped, 3000, username));
  show();
});
field.addEventListener("input", () => {
  if (Date.now() - told < 2000) return;
  told = Date.now();
  typing.publish({ event_class: "typing", data: { username: own } }).catch(() => {});
});

instant.on("chat_left", ({ message, data }) => {
  if (String(data.room_id) !== id) return;
  room.leave();
  typing.leave();
  field.disabled = true;
  field.placeholder = message;
  notice(message);
});
