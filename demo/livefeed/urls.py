"""The live feed."""

from django.urls import path

from livefeed import views

urlpatterns = [path("", views.livefeed, name="livefeed"), path("log/", views.log, name="log")]
