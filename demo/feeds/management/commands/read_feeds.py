"""`manage.py read_feeds [FOLDER]`: saves the posts of RSS files that are not yet saved."""

import logging
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from feeds import rss
from feeds.models import Post

log = logging.getLogger("feeds")


class Command(BaseCommand):
    """Read every RSS file in a folder."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("folder", nargs="?", type=Path, default=settings.BASE_DIR / "rss")
        parser.add_argument("--limit", type=int, help="at most this many new posts per file")

    def handle(self, folder: Path, limit: int | None, **options) -> None:
        """Run the command."""
        known = set(Post.objects.values_list("guid", flat=True))
        saved = 0
        for path in sorted(folder.glob("*.xml")):
            new = (post for post in rss.read(path) if post.guid not in known)
            saved += len(Post.objects.bulk_create(islice(new, limit)))
        log.info("new posts: %d", saved)
        self.stdout.write(f"new posts: {saved}")
