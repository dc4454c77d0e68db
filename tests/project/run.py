"""Runs pieces of Python inside the project, with every model of `shop` and Django's usual tools by name.

`run.py` runs what it reads from standard input, once. `run.py --serve` answers lines of JSON until the input ends: it reads
`{"code": "…"}` and writes `{"output": "…", "error": null}`, where `error` is a traceback. Names live on from one piece to the next.
"""

import contextlib
import io
import json
import os
import sys
import textwrap
import traceback

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

import django  # noqa: E402
from django.db import connection  # noqa: E402

django.setup()

PRELUDE = """
import datetime, decimal, json, uuid
from decimal import Decimal
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.models import F, Q
from django.utils import timezone
User = get_user_model()
if apps.is_installed("shop"):
    from shop.models import *
"""


def run(code, names):
    """Run one piece, which may be indented as a whole."""
    exec(compile(textwrap.dedent(code), "<piece>", "exec"), names)


def serve(names):
    """Answer one piece a line. Output is captured, so that nothing a piece prints can break the protocol."""
    answers = sys.stdout
    for line in sys.stdin:
        output, error = io.StringIO(), None
        try:
            with contextlib.redirect_stdout(output):
                run(json.loads(line)["code"], names)
        except Exception:
            error = traceback.format_exc()
            # A server that went away; Django would notice at the end of a request, and here there is none.
            if connection.connection is not None and connection.connection.closed:
                connection.close()
        print(json.dumps({"output": output.getvalue(), "error": error}), file=answers, flush=True)


def main():
    """Run as the arguments say."""
    names = {"__name__": "__main__"}
    exec(PRELUDE, names)
    if sys.argv[1:] == ["--serve"]:
        serve(names)
    else:
        run(sys.stdin.read(), names)


if __name__ == "__main__":
    main()
