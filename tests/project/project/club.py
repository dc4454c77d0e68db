"""The settings of the same project with a user model of its own; what refers to `auth.User` is left out."""

from .settings import *  # noqa: F403

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "club",
]
AUTH_USER_MODEL = "club.Member"
MIDDLEWARE = [name for name in MIDDLEWARE if "messages" not in name]  # noqa: F405
ROOT_URLCONF = "project.urls_club"
LOGOUT_REDIRECT_URL = "/"
