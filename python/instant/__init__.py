"""Instant's side of a Django project: messages to browsers from Python."""
