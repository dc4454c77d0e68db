"""The chat: a room is for its members, and the staff chooses them."""

import logging

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST

from chat.models import Membership, Message, Room

# How many messages a room shows at first.
SHOWN = 50
log = logging.getLogger(__name__)


def own_room(request: HttpRequest, pk: int) -> Room:
    """Return a room that the user is a member of; anybody else gets a 404."""
    return get_object_or_404(Room, pk=pk, members=request.user)


@login_required
def rooms(request: HttpRequest) -> HttpResponse:
    """List the user's rooms."""
    return render(request, "rooms.html", {"rooms": request.user.rooms.all()})


@login_required
def room(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a room."""
    return render(request, "room.html", {"room": own_room(request, pk), "rooms": request.user.rooms.all()})


@login_required
def messages(request: HttpRequest, pk: int) -> HttpResponse:
    """Render the latest messages as a fragment of the page."""
    latest = own_room(request, pk).messages.select_related("author").order_by("-pk")[:SHOWN]
    return render(request, "messages.html", {"messages": reversed(latest)})


@login_required
def members(request: HttpRequest, pk: int) -> HttpResponse:
    """Render who is in the room and who is not, as a fragment of the page."""
    room = own_room(request, pk)
    inside = room.members.order_by("username")
    outside = User.objects.exclude(rooms=room).order_by("username")
    return render(request, "members.html", {"room": room, "inside": inside, "outside": outside})


@login_required
@require_POST
def say(request: HttpRequest, pk: int) -> HttpResponse:
    """Post a message."""
    text = request.POST.get("text", "").replace("\0", "").strip()[:500]
    if text:
        Message.objects.create(room=own_room(request, pk), author=request.user, text=text)
    return HttpResponse(status=204)


@staff_member_required
@require_POST
def member(request: HttpRequest, pk: int, user: int) -> HttpResponse:
    """Add a user to a room, or remove one."""
    room, user = get_object_or_404(Room, pk=pk), get_object_or_404(User, pk=user)
    if "remove" in request.POST:
        Membership.objects.filter(room=room, user=user).delete()
        log.warning("%s removed %s from %s", request.user, user, room)
    else:
        Membership.objects.get_or_create(room=room, user=user)
        log.info("%s added %s to %s", request.user, user, room)
    return HttpResponse(status=204)
