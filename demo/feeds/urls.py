"""The feed reader."""

from django.urls import path

from feeds import views

urlpatterns = [
    path("", views.feeds, name="feeds"),
    path("posts/", views.posts, name="posts"),
    path("burst/", views.burst, name="burst"),
]
