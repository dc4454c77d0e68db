"""Events that would have been published, and assertions about them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Stands for an argument that is not given, where ``None`` is a value.
ANY: Any = object()


class RuleFailed(AssertionError):
    """A rule failed on a change: outside of tests that is a dead letter, and this rule publishes nothing for the change."""


@dataclass(frozen=True)
class Event:
    """One event on one channel."""

    #: The channel that it goes to.
    channel: str
    #: The string that a browser dispatches on.
    event_class: str
    #: The human-readable text.
    message: str
    #: The published columns.
    data: dict[str, Any]
    #: ``insert``, ``update``, ``delete``, ``truncate``, ``leave`` or ``broadcast``.
    op: str
    #: The model's label; ``None`` for a message sent by hand.
    model: str | None
    #: The primary key, a list if it has several columns; ``None`` for a message sent by hand.
    pk: Any
    #: The whole event, as a browser receives it.
    payload: dict[str, Any]

    @classmethod
    def of(cls, channel: str, payload: dict[str, Any]) -> "Event":
        """Build the event from its payload."""
        return cls(
            channel=channel,
            event_class=payload["event_class"],
            message=payload["message"],
            data=payload.get("data", {}),
            op=payload["op"],
            model=payload.get("model"),
            pk=payload.get("pk"),
            payload=payload,
        )

    def __str__(self) -> str:
        """Return one human-readable line."""
        return f"{self.event_class!r} to {self.channel!r}: {self.message!r} {json.dumps(self.data, ensure_ascii=False)}"


class Events(list[Event]):
    """The events of a block, in order; filled when the block ends."""

    #: For each change that goes nowhere, why.
    silent: list[str]

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__()
        self.silent = []

    def assert_event(
        self,
        event_class: str | None = None,
        *,
        channel: str | None = None,
        message: str | None = None,
        model: str | None = None,
        op: str | None = None,
        pk: Any = ANY,
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        """Assert that there is an event that matches every given argument, and return the first one.

        :param data: What the event's data must contain; it may contain more.
        :raises AssertionError: there is none; lists the events that there are.
        """
        wanted = {"event_class": event_class, "channel": channel, "message": message, "model": model, "op": op}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        for event in self:
            if any(getattr(event, name) != value for name, value in wanted.items()):
                continue
            if pk is not ANY and str(event.pk) != str(pk):
                continue
            if data is None or all(name in event.data and event.data[name] == value for name, value in data.items()):
                return event
        asked: dict[str, Any] = {**wanted, **({} if pk is ANY else {"pk": pk}), **({} if data is None else {"data": dict(data)})}
        described = ", ".join(f"{name}={value!r}" for name, value in asked.items())
        raise AssertionError(f"there is no event with {described}; there is {self._listed()}" if asked else "there is no event")

    def assert_no_events(self) -> None:
        """Assert that nothing would have been published.

        :raises AssertionError: there are events.
        """
        if self:
            raise AssertionError(f"no event was expected; there is {self._listed()}")

    def _listed(self) -> str:
        """List the events and the silent changes for an error message."""
        lines = [str(event) for event in self]
        lines += [f"(nothing: {why})" for why in self.silent]
        return "".join(f"\n  {line}" for line in lines) or "none: no watched row was changed"
