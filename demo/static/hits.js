// Each request as it is made; the channel's history has the latest ones.
const SHOWN = 30;
const SECONDS = 60;
const rows = document.querySelector("#hits");
const line = document.querySelector("#curve polyline");
const leaf = () => ({ count: 0, children: new Map() });
let total = 0;
let tree = leaf();
const perSecond = new Map();

function count(path) {
  let node = tree;
  for (const word of path.split("/").filter(Boolean)) {
    if (!node.children.has(word)) node.children.set(word, leaf());
    node = node.children.get(word);
    node.count += 1;
  }
  if (node === tree) tree.count += 1;
}

function branch([word, { count, children }]) {
  const below = [...children].sort().map(branch);
  return make("li", {}, word, " ", make("b", {}, `${count}`), ...(below.length ? [make("ul", {}, ...below)] : []));
}

function draw() {
  const now = Math.floor(Date.now() / 1000);
  for (const second of perSecond.keys()) if (second < now - SECONDS) perSecond.delete(second);
  const highest = Math.max(4, ...perSecond.values());
  const points = Array.from({ length: SECONDS + 1 }, (_, index) => {
    const hits = perSecond.get(now - SECONDS + index) ?? 0;
    return `${(index * 600) / SECONDS},${97 - (hits * 94) / highest}`;
  });
  line.setAttribute("points", points.join(" "));
}

/** The path of an address. Clients may send anything instead of one. */
function pathOf(address) {
  return URL.canParse(address) ? new URL(address).pathname : address;
}

function show({ at, data }) {
  const { path, method, status, address, user, referer, user_agent } = data;
  total += 1;
  const second = Math.floor(Date.parse(at) / 1000);
  perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
  count(path);
  rows.prepend(
    make("tr", { title: user_agent },
      make("td", {}, clock(at)),
      make("td", {}, make("span", { class: "label" }, method), ` ${path} `, make("small", { class: "quiet" }, `${status}`)),
      make("td", {}, user?.username ?? "visitor"),
      make("td", {}, address ?? ""),
      make("td", { class: "quiet" }, pathOf(referer)),
    ),
  );
  while (rows.children.length > SHOWN) rows.lastChild.remove();
  document.querySelector("#total").textContent = total;
  const root = ["/", { ...leaf(), count: tree.count }];
  document.querySelector("#tree").replaceChildren(...[root, ...tree.children].map(branch));
}

function clear() {
  rows.replaceChildren();
  total = 0;
  tree = leaf();
  perSecond.clear();
}
replay(instant.channel("hits:staff"), clear, show);
setInterval(draw, 1000);
