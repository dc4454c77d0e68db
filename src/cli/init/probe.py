"""Describe a Django project as one line of JSON. Run by `instant init` in the project's own interpreter."""

import json
import sysconfig
from pathlib import Path

from django import VERSION, apps, conf, db
from django.contrib import auth

libraries = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")]


def is_own(config):
    """Whether an app is the project's own, and not installed from elsewhere."""
    path = Path(config.path).resolve()
    return not any(path.is_relative_to(library) for library in libraries) and "site-packages" not in path.parts


def described(model):
    """The model with the columns of its table."""
    meta = model._meta
    fields = [
        {
            "name": field.name,
            "column": field.column,
            "kind": field.get_internal_type(),
            "key": field.primary_key,
            "leads_to": field.related_model._meta.label if field.is_relation and field.related_model else None,
        }
        for field in meta.local_fields
        if field.column
    ]
    links = [
        {"name": field.name, "table": field.remote_field.through._meta.db_table}
        for field in meta.local_many_to_many
        if field.remote_field.through._meta.auto_created
    ]
    return {
        "label": meta.label,
        "parents": [parent._meta.label for parent in meta.parents],
        "table": meta.db_table,
        "own": is_own(meta.app_config),
        "fields": fields,
        "links": links,
    }


settings = conf.settings
user = auth.get_user_model() if apps.apps.is_installed("django.contrib.auth") else None
print(
    "instant:"
    + json.dumps(
        {
            "version": ".".join(str(part) for part in VERSION[:2]),
            "vendor": db.connection.vendor,
            "user_model": user._meta.label if user else None,
            "user_table": user._meta.db_table if user else None,
            "sessions": apps.apps.is_installed("django.contrib.sessions"),
            "session_engine": settings.SESSION_ENGINE,
            "session_cookie": settings.SESSION_COOKIE_NAME,
            "session_cookie_age": settings.SESSION_COOKIE_AGE,
            "models": [
                described(model)
                for model in apps.apps.get_models()
                if model._meta.managed and not model._meta.proxy and not model._meta.swapped
            ],
        }
    )
)
