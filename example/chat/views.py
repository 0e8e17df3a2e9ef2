import re

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from .converters import RoomConverter
from .models import Message


@login_not_required
@require_safe
def rooms(request):
    wanted = request.GET.get("room", "").strip()
    if re.fullmatch(RoomConverter.regex, wanted):
        return redirect("room", wanted)
    if wanted:
        messages.error(request, "A room's name has letters, digits, - and _, at most 80 of them.")
    names = Message.objects.order_by("room").values_list("room", flat=True).distinct()
    return render(request, "chat/rooms.html", {"rooms": names, "wanted": wanted})


@login_not_required
@require_safe
def room(request, room):
    return render(request, "chat/room.html", {"room": room})
