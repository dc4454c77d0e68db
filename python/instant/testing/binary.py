"""The ``instant`` binary: where it is, and what it is told."""

import os
import shutil
import subprocess
import sysconfig
from typing import Any
from urllib.parse import quote, urlencode

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

#: The settings of a connection that the binary takes over beside the address, by their names in a URL.
PARAMETERS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "options")
#: Those that only libpq follows, to what the binary must be told.
FOLLOWED = ("service", "passfile")


def command(*arguments: str) -> list[str]:
    """The command line of the binary, which ``INSTANT_BINARY`` names; or else that of this environment, or of the search path."""
    named = getattr(settings, "INSTANT_BINARY", None) or os.environ.get("INSTANT_BINARY")
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    binary = shutil.which(str(named or "instant"), path=path)
    if binary is None:
        raise ImproperlyConfigured(f"there is no program {named or 'instant'}; install it, or set INSTANT_BINARY to its path")
    config = getattr(settings, "INSTANT_CONFIG", None)
    return [binary, *(["--config", str(config)] if config else []), *arguments]


def environment(using: str, database: str | None = None) -> dict[str, str]:
    """The environment of the binary: it connects as Django does, and finds what ``instant.toml`` mostly reads from there."""
    url = database_url(using, database)
    known = {"DATABASE_URL": url, "DJANGO_SECRET_KEY": str(settings.SECRET_KEY)}
    return {**known, **os.environ, "INSTANT_DATABASE_URL": url, "NO_COLOR": "1"}


def folder() -> str | None:
    """Where the binary looks for ``instant.toml``, from there upwards."""
    base = getattr(settings, "BASE_DIR", None)
    return str(base) if base and os.path.isdir(base) else None


def run(*arguments: str, using: str, database: str | None = None) -> None:
    """Run the binary to its end.

    :raises ImproperlyConfigured: it failed; with what it said.
    """
    ended = subprocess.run(
        command(*arguments),
        cwd=folder(),
        env=environment(using, database),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        said = (ended.stdout + ended.stderr).strip()
        raise ImproperlyConfigured(f"`instant {' '.join(arguments)}` failed on the database {using!r}:\n{said}")


def database_url(using: str, database: str | None = None) -> str:
    """The URL of the database that Django uses now, or of another one on the same server."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        raise ImproperlyConfigured(f"the database {using!r} is not PostgreSQL")
    found: dict[str, Any] = connection.settings_dict
    options: dict[str, Any] = found["OPTIONS"]
    named = [str(found["HOST"])] if found["HOST"] else [os.environ.get(name, "") for name in ("PGHOST", "PGHOSTADDR")]
    if "PGSERVICE" in os.environ or any("," in hosts for hosts in named) or any(options.get(name) for name in FOLLOWED):
        found, options = followed(connection)
    parameters = {name: str(options[name]) for name in PARAMETERS if options.get(name)}
    # What is not set is found as for Django: in libpq's variables, or as the socket of this machine.
    for setting in ("USER", "PASSWORD", "HOST", "PORT"):
        if found[setting]:
            parameters[setting.lower()] = str(found[setting])
    name = quote(database or str(found["NAME"]), safe="")
    return f"postgresql:///{name}" + (f"?{urlencode(parameters, quote_via=quote)}" if parameters else "")


def followed(connection: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Where libpq has come to, as Django's settings would say it, and its parameters."""
    connection.ensure_connection()
    info = connection.connection.info
    # psycopg has a method for what is an attribute of psycopg2.
    options = info.get_parameters() if hasattr(info, "get_parameters") else info.dsn_parameters
    place = {"NAME": info.dbname, "USER": info.user, "PASSWORD": info.password, "HOST": info.host, "PORT": info.port}
    return place, options
