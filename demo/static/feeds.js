// Of many posts at once one event comes, which says how many: a burst is one badge.
const badge = document.querySelector("#new");
const loadPosts = part("#posts");
let waiting = 0;

function show() {
  badge.hidden = waiting === 0;
  badge.textContent = `${waiting} new ${waiting === 1 ? "post" : "posts"} available`;
}
instant.on("new_post", ({ count = 1 }) => {
  waiting += count;
  show();
});
async function read() {
  waiting = 0;
  show();
  await loadPosts();
}
badge.addEventListener("click", read);
instant.ready().then(read);
instant.onGap(read);
