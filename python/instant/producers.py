"""Messages to browsers, sent when the transaction in which they are written commits."""

import json
import re
from collections.abc import Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DEFAULT_DB_ALIAS, ProgrammingError, connections

__all__ = ["abroadcast", "broadcast"]

#: The targets that are a single word.
WORDS = ("public", "users", "staff", "superuser")
#: The maximum length of a channel's name in characters, Centrifugo's default.
CHANNEL_LENGTH = 255
#: A group of any name, or a user's key; a comma would admit further users, a second # would begin another part of the channel.
FORMS = re.compile(r"group:.+|#[^#,]+", re.DOTALL)
#: What to do about PostgreSQL's errors, by SQLSTATE: a missing schema or function, and a missing privilege.
ADVICE = {
    "3F000": "Run `instant apply` on this database.",
    "42883": "Run `instant apply` on this database.",
    "42501": "This role may not send. As the tables' owner, grant it both privileges: `grant usage on schema instant to ROLE` and "
    "`grant execute on function instant.broadcast to ROLE`.",
}


def broadcast(
    message: str,
    event_class: str = "default",
    *,
    target: str | None = None,
    data: Mapping[str, Any] | None = None,
    channel: str | None = None,
    bucket: str | None = None,
    site: str | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> None:
    """Send a message to a target or channel; with neither, to everyone.

    It is part of the current transaction on the database ``using``: published when that commits, never when it is rolled back.

    :param target: ``public``, ``users``, ``staff``, ``superuser``, ``group:NAME``, or ``#ID`` for the user with that key.
    :raises TypeError: an argument has the wrong type, or ``data`` contains a value that JSON cannot represent.
    :raises ValueError: an argument is invalid, such as an unknown target.
    """
    for name, value in {"message": message, "event_class": event_class}.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str, not {type(value).__name__}; for a lazy translation, use str({name})")
    optional = {"target": target, "channel": channel, "bucket": bucket, "site": site}
    for name, text in optional.items():
        if text is not None and not isinstance(text, str):
            raise TypeError(f"{name} must be a str or None, not {type(text).__name__}")
    for name, text in {"message": message, "event_class": event_class, **optional}.items():
        if text is not None and "\0" in text:
            raise ValueError(f"{name} has a NUL character, which PostgreSQL cannot hold")
    if not event_class:
        raise ValueError("event_class is empty; browsers dispatch on it")
    if target is not None and channel is not None:
        raise ValueError("target and channel exclude each other; call it twice to reach both")
    if target is not None and target not in WORDS and not FORMS.fullmatch(target):
        raise ValueError(f"{target!r} is no target; write {', '.join(WORDS)}, group:NAME or #ID")
    if channel is not None and not 1 <= len(channel) <= CHANNEL_LENGTH:
        raise ValueError(f"a channel has 1 to {CHANNEL_LENGTH} characters, this one has {len(channel)}")
    arguments = [message, event_class, target, _encode(data), channel, bucket, site]
    connection = connections[using]
    if connection.vendor != "postgresql":
        raise ImproperlyConfigured(f"the database {using!r} is not PostgreSQL; pass the one that Instant watches as using=…")
    try:
        with connection.cursor() as cursor:
            cursor.execute("select instant.broadcast(%s, %s, %s, %s::json, %s, %s, %s)", arguments)
    except ProgrammingError as error:
        advice = ADVICE.get(_state(error))
        if advice is None:
            raise
        raise ProgrammingError(f"{error}\n{advice}") from error


async def abroadcast(
    message: str,
    event_class: str = "default",
    *,
    target: str | None = None,
    data: Mapping[str, Any] | None = None,
    channel: str | None = None,
    bucket: str | None = None,
    site: str | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> None:
    """Send a message as :func:`broadcast` does, from async code, on the connection that Django's async ORM uses."""
    await sync_to_async(broadcast)(
        message, event_class, target=target, data=data, channel=channel, bucket=bucket, site=site, using=using
    )


def _state(error: Exception) -> str:
    """Find the SQLSTATE of a driver's error that Django has wrapped: psycopg 3 and psycopg2 name it differently."""
    cause = error.__cause__
    return str(getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None))


def _encode(data: Mapping[str, Any] | None) -> str | None:
    """Encode the data of an event as a JSON object."""
    if data is None:
        return None
    if not isinstance(data, Mapping):
        raise TypeError(f"data must be a dict, not {type(data).__name__}")
    try:
        return json.dumps(dict(data), cls=DjangoJSONEncoder, allow_nan=False)
    except TypeError as error:
        raise TypeError(f"data: {error}") from error
    except ValueError as error:
        raise ValueError(f"data: {error}") from error
