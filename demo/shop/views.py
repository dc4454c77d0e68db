"""The shop: customers see their own orders, the staff sees all."""

import logging

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST

from shop.models import Order

PRODUCTS = {"Espresso cups": "24.50", "Teapot": "39.00", "Milk jug": "18.20", "Sugar bowl": "12.00"}
# How many orders a page shows.
SHOWN = 20
log = logging.getLogger(__name__)


def visible(request: HttpRequest) -> QuerySet[Order]:
    """Return the orders that the user may see."""
    orders = Order.objects.select_related("customer")
    return orders if request.user.is_staff else orders.filter(customer=request.user)


@login_required
def shop(request: HttpRequest) -> HttpResponse:
    """Show the shop."""
    return render(request, "shop.html", {"products": PRODUCTS})


@login_required
def orders(request: HttpRequest) -> HttpResponse:
    """Render the list of orders as a fragment of the page."""
    return render(request, "orders.html", {"orders": visible(request)[:SHOWN], "steps": Order.Status.values})


@login_required
@require_POST
def buy(request: HttpRequest) -> HttpResponse:
    """Place an order."""
    product = request.POST.get("product")
    if product not in PRODUCTS:
        return HttpResponse(status=400)
    Order.objects.create(product=product, total=PRODUCTS[product], customer=request.user)
    log.info("%s ordered: %s", request.user, product)
    return HttpResponse(status=204)


@staff_member_required
@require_POST
def advance(request: HttpRequest, pk: int) -> HttpResponse:
    """Advance an order by one step."""
    order = get_object_or_404(Order, pk=pk)
    if order.next_status:
        order.status = order.next_status
        order.save(update_fields=["status"])
    return HttpResponse(status=204)
