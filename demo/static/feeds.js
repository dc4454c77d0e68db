// A burst is one badge: it is shown once posts have stopped to come for a moment, or after a second.
const badge = document.querySelector("#new");
const loadPosts = part("#posts");
let waiting = 0;
let since = 0;
let timer = 0;

function show() {
  since = 0;
  badge.hidden = waiting === 0;
  badge.textContent = `${waiting} new ${waiting === 1 ? "post" : "posts"} available`;
}
instant.on("new_post", () => {
  waiting += 1;
  since ||= Date.now();
  clearTimeout(timer);
  timer = setTimeout(show, Date.now() - since > 1000 ? 0 : 200);
});
async function read() {
  waiting = 0;
  show();
  await loadPosts();
}
badge.addEventListener("click", read);
instant.onGap(read);
