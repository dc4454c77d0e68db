// The list is loaded again when one of its orders has moved: the staff hears every order, a customer its own.
const load = part("#orders");
instant.on(["Order created", "Order edited", "Order deleted", "Your order"], async ({ channel, message, pk }) => {
  if (channel.includes(":")) return;
  notice(message);
  await load();
  document.querySelector(`#orders [data-pk="${pk}"]`)?.classList.add("moved");
});
