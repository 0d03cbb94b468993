# SPDX-License-Identifier: Apache-2.0
"""The names in a folder of a server, from the page that it shows for the folder."""

from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit


def names(page: str) -> list[str]:
    """Return the names of the files and folders that an index links to."""
    parser = _Links()
    parser.feed(page)
    found = (unquote(urlsplit(link).path).rstrip("/").rpartition("/")[2] for link in parser.links)
    return [name for name in dict.fromkeys(found) if name not in {"", ".", ".."}]


class _Links(HTMLParser):
    """Collects the targets of the links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Add the target of a link."""
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]
