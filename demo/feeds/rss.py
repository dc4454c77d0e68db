"""Reading RSS 2.0."""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from xml.etree import ElementTree

from django.utils import timezone

from feeds.models import Post


def read(path: Path) -> Iterator[Post]:
    """Yield the items of a file, oldest first, unsaved. The file is trusted: it is the project's own."""
    channel = ElementTree.parse(path).getroot().find("channel")
    feed = channel.findtext("title", path.stem)
    for item in reversed(channel.findall("item")):
        date = item.findtext("pubDate")
        yield Post(
            guid=item.findtext("guid") or item.findtext("link"),
            feed=feed[:100],
            title=item.findtext("title", "")[:200],
            link=item.findtext("link", ""),
            summary=item.findtext("description", ""),
            published=parsedate_to_datetime(date) if date else timezone.now(),
        )
