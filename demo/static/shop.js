// The list is reloaded when one of its orders has changed: the staff receives every order, a customer their own.
const load = part("#orders");
instant.on(["Order created", "Order edited", "Order deleted", "Your order"], async ({ channel, message, pk }) => {
  if (channel.includes(":")) return;
  notice(message);
  await load();
  document.querySelector(`#orders [data-pk="${pk}"]`)?.classList.add("moved");
});
