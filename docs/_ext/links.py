"""After the build: every link within the site leads to a file that is there, and to an anchor on that page."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


class Page(HTMLParser):
    """The anchors of a page, and what it links to or shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the attributes that name an anchor or another file."""
        for name, value in attrs:
            if value and name == "id":
                self.anchors.add(value)
            elif value and name in ("href", "src"):
                self.links.add(value)


def broken(site: Path) -> list[tuple[str, str]]:
    """The page and the link, for each that leads nowhere; those to other sites are not followed."""
    site = site.resolve()
    files = [file for file in site.rglob("*.html") if "_static" not in file.relative_to(site).parts]
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in files}
    return [
        (file.relative_to(site).as_posix(), link)
        for file, page in sorted(pages.items())
        for link in sorted(page.links)
        if not _leads_somewhere(file, link, pages)
    ]


def _leads_somewhere(file: Path, link: str, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if not target.is_file():
        return False
    return not parts.fragment or target not in pages or unquote(parts.fragment) in pages[target].anchors


def _check(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        for page, link in broken(Path(app.outdir)):
            logger.warning("%s: link that leads nowhere: %s", page, link)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the build."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
