// Many posts at once are one event with their number: a burst is one badge.
const badge = document.querySelector("#new");
let waiting = 0;
const load = part("#posts", () => {
  waiting = 0;
  show();
});

function show() {
  badge.hidden = waiting === 0;
  badge.textContent = `${waiting} new ${waiting === 1 ? "post" : "posts"} available`;
}
instant.on("new_post", ({ count = 1 }) => {
  waiting += count;
  show();
});
badge.addEventListener("click", load);
