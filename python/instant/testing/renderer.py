"""The binary's mapping, kept running: changes go in, events come out."""

import atexit
import json
import os
import subprocess
import tempfile
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DataError, DatabaseError, connections, transaction

from instant.testing import binary
from instant.testing.events import Event, Events, RuleFailed


class Renderer:
    """``instant render`` for one database. It holds no connection, so that the test database can be dropped."""

    def __init__(self, using: str) -> None:
        """Start it.

        :raises ImproperlyConfigured: it ends before its first answer; includes its error output.
        """
        self.using = using
        command = binary.command("render")
        self._complaints = tempfile.TemporaryFile(mode="w+")
        self._process = subprocess.Popen(
            command,
            cwd=binary.folder(),
            env=binary.environment(using),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            encoding="utf-8",
        )
        try:
            self._settings: list[list[str]] = self._read()["settings"]
        except BaseException:
            self.close()
            raise

    @property
    def is_running(self) -> bool:
        """Whether it is still running."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it."""
        self._process.communicate()
        self._complaints.close()

    def events(self, changes: list[dict[str, Any]]) -> Events:
        """Render changes by the rules.

        :raises RuleFailed: a rule failed on one of them.
        """
        rows: list[dict[str, Any]] = []
        answer = self._ask(changes, rows)
        while "need" in answer:
            for need in answer["need"]:
                rows += self._look_up(need)
            answer = self._ask(changes, rows)
        if answer["failures"]:
            failed = "".join(f"\n  rule {one['rule']} of {one['model']}: {one['reason']}" for one in answer["failures"])
            raise RuleFailed(f"rules of instant.toml failed:{failed}")
        events = Events()
        events.extend(Event.of(one["channel"], one["event"]) for one in answer["events"])
        for one in answer["silent"]:
            why = "; ".join(f"rule {rule}: {reason}" for rule, reason in one["why"]) or "instant.toml does not watch it"
            events.silent.append(f"{one['op']} in {one['source']}: {why}")
        return events

    def _ask(self, changes: list[dict[str, Any]], rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Write one line, and return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"changes": changes, "rows": rows}) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if "error" in answer:
            raise RuntimeError(f"instant render: {answer['error']}; are the package and the binary the same version?")
        return answer

    def _read(self) -> dict[str, Any]:
        """Read one line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._complaints.seek(0)
            raise ImproperlyConfigured(f"`instant render` has ended:\n{self._complaints.read().strip()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _look_up(self, need: dict[str, Any]) -> list[dict[str, Any]]:
        """Read rows of other tables on the test's own connection: only its transaction sees them."""
        keys: list[str] = need["keys"]
        try:
            found = self._select(need["statement"], keys)
        except DataError:
            if len(keys) > 1:
                # One key that the column's type cannot hold fails the whole query.
                return [row for key in keys for row in self._look_up({**need, "keys": [key]})]
            found = {}
        except DatabaseError as error:
            return [{"lookup": need["lookup"], "key": key, "values": None, "refused": str(error)} for key in keys]
        return [{"lookup": need["lookup"], "key": key, "values": found.get(key), "refused": None} for key in keys]

    def _select(self, statement: str, keys: list[str]) -> dict[str, list[str | None]]:
        """Run a lookup under the settings that captured values are written with, and leave the session as it was."""
        escaped = [key.replace("\\", "\\\\").replace('"', '\\"') for key in keys]
        array = "{" + ",".join(f'"{key}"' for key in escaped) + "}"
        with transaction.atomic(using=self.using), connections[self.using].cursor() as cursor:
            for name, value in self._settings:
                cursor.execute("select set_config(%s, %s, true)", [name, value])
            cursor.execute(statement, [array])
            found = {key: list(values) for key, *values in cursor.fetchall()}
            # The rollback to the savepoint resets the settings.
            transaction.set_rollback(True, using=self.using)
        return found


#: The running renderers by what they depend on: another process, or another database, needs another one.
_running: dict[tuple[int, str, str], Renderer] = {}


def renderer(using: str) -> Renderer:
    """Return the renderer of the database that Django uses now."""
    key = (os.getpid(), using, binary.database_url(using))
    if key not in _running or not _running[key].is_running:
        _running[key] = started = Renderer(using)
        atexit.register(started.close)
    return _running[key]
