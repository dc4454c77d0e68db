"""An ordinary Django project. DATABASE_URL is `postgres://user[:password]@host:port/name`."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "a key for the demo alone")
# It runs under `runserver`, which serves static files only in this mode.
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "project.urls"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "home",
    "shop",
    "chat",
    "livefeed",
    "presence",
    "hits",
    "feeds",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "hits.middleware.HitMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "project.page.realtime",
            ]
        },
    }
]

_database = urlsplit(os.environ.get("DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres"))
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(_database.path.lstrip("/")),
        "USER": unquote(_database.username or ""),
        "PASSWORD": unquote(_database.password or ""),
        "HOST": _database.hostname or "",
        "PORT": str(_database.port or ""),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
# The passwords are on the front page; a slow hash would protect nothing.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Whether every request comes through a proxy, which adds the client's address.
BEHIND_PROXY = os.environ.get("BEHIND_PROXY") == "1"

# The address of the pages' script, and the server that it connects to, if not the one that it comes from.
REALTIME_SCRIPT = os.environ.get("REALTIME_SCRIPT", "http://localhost:8001/instant.js")
REALTIME_SERVER = os.environ.get("REALTIME_SERVER", "")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"table": {"class": "livefeed.handler.TableHandler"}},
    "loggers": {
        "shop": {"handlers": ["table"], "level": "INFO"},
        "chat": {"handlers": ["table"], "level": "INFO"},
        "feeds": {"handlers": ["table"], "level": "INFO"},
        "django.request": {"handlers": ["table"], "level": "WARNING"},
    },
}
