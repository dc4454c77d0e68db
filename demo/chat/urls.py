"""The chat."""

from django.urls import path

from chat import views

urlpatterns = [
    path("", views.rooms, name="chat"),
    path("<int:pk>/", views.room, name="room"),
    path("<int:pk>/messages/", views.messages, name="messages"),
    path("<int:pk>/members/", views.members, name="members"),
    path("<int:pk>/say/", views.say, name="say"),
    path("<int:pk>/members/<int:user>/", views.member, name="member"),
]
