"""The hits feed."""

from django.urls import path

from hits import views

urlpatterns = [path("", views.hits, name="hits")]
