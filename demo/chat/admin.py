"""Rooms with their members in the admin."""

from django.contrib import admin

from chat.models import Membership, Message, Room


class MembershipInline(admin.TabularInline):
    """A room's members, on its page."""

    model = Membership
    extra = 1


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):
    """Rooms."""

    inlines = [MembershipInline]


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):
    """Memberships, each on a page of its own."""

    list_display = ["user", "room"]


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):
    """Messages."""

    list_display = ["text", "author", "room", "said"]
