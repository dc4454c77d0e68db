// The channel's history has the latest events, so the page starts with them.
const SHOWN = 30;
const list = document.querySelector("#events");
const tiles = document.querySelector("#classes");
const counts = new Map();
const kind = (name) => name.match(/created|edited|deleted|ERROR|WARNING|INFO/)?.[0].toLowerCase() ?? "";

/** The object's page in the admin, for an entry of the admin's own log or for a row. */
function adminUrl({ model, op, pk, data }) {
  if (data.content_type) return `/admin/${data.content_type.app_label}/${data.content_type.model}/${data.object_id}/change/`;
  return model && op !== "delete" ? `/admin/${model.toLowerCase().replace(".", "/")}/${pk}/change/` : null;
}

function show(event) {
  const { event_class: name, message, data, at } = event;
  const url = /deleted/.test(name) ? null : adminUrl(event);
  const user = (data.user ?? data.customer)?.username;
  counts.set(name, (counts.get(name) ?? 0) + 1);
  list.prepend(
    make("li", { class: kind(name) },
      make("time", {}, clock(at)),
      make("span", { class: "label" }, name),
      url ? make("a", { href: url }, message) : make("span", {}, message),
      make("span", { class: "quiet" }, user ?? ""),
    ),
  );
  while (list.children.length > SHOWN) list.lastChild.remove();
  tiles.replaceChildren(
    ...[...counts].sort().map(([name, count]) => make("div", { class: `tile ${kind(name)}` }, make("b", {}, `${count}`), make("span", {}, name))),
  );
}

function clear() {
  list.replaceChildren();
  counts.clear();
}
replay(instant.channel("feed:staff"), clear, show);
