"""Orders in the admin."""

from django.contrib import admin

from shop.models import Order


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders with their status in the list."""

    list_display = ["pk", "product", "customer", "status", "total"]
    list_filter = ["status"]
