"""A small shop."""

from decimal import Decimal

from django.conf import settings
from django.db import models


class Order(models.Model):
    """A customer's order and its progress."""

    class Status(models.TextChoices):
        """The steps of an order, in sequence."""

        PLACED = "placed"
        PAID = "paid"
        PACKED = "packed"
        SENT = "sent"
        DELIVERED = "delivered"

    product = models.CharField(max_length=100)
    total = models.DecimalField(max_digits=8, decimal_places=2, default=Decimal("0.00"))
    status = models.CharField(max_length=10, choices=Status, default=Status.PLACED)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="orders")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.product} for {self.customer}"

    @property
    def step(self) -> int:
        """The number of the current step, from 1 on."""
        return self.Status.values.index(self.status) + 1

    @property
    def next_status(self) -> str | None:
        """The status after this one."""
        return next(iter(self.Status.values[self.step :]), None)
