"""The shop."""

from django.urls import path

from shop import views

urlpatterns = [
    path("", views.shop, name="shop"),
    path("orders/", views.orders, name="orders"),
    path("buy/", views.buy, name="buy"),
    path("orders/<int:pk>/advance/", views.advance, name="advance"),
]
