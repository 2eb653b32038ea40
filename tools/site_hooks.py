"""What MkDocs is told beside mkdocs.yml: that the site shows what a forge shows.

On a forge a page links to ``../ARCHITECTURE.md`` or ``../src/…``. Of the site these are pages below
``project/``, Markdown as it is and other files as a block of code, so that every link leads
somewhere, from whichever forge the site comes and without a network.

MkDocs reads pages by Python-Markdown, whose rules are others than a forge's, as for what is in a
list. That reading checks the links and makes the table of contents; what is shown is rendered anew.
"""

import os
import posixpath
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit, urlunsplit
from xml.etree.ElementTree import Element

from markdown import Extension, Markdown
from markdown.treeprocessors import Treeprocessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from tools.check_links import ROOT, links
from tools.site_markdown import render

DOCS, PROJECT = "docs/", "project/"
FOLDERS = {"docs/schemas": "docs/reference/documents.md"}  # a page that tells what is in one
LANGUAGES = {".py": "python", ".yml": "yaml", ".yaml": "yaml", ".json": "json", ".toml": "toml"}

CODE_PAGE = """\
---
search: {exclude: true}
hide: [navigation, toc]
---
"""


class Leaving(Treeprocessor):
    """Points links out of ``docs/``, and back into it, at the pages that the site has of them."""

    page: str = ""  # where the page is below docs/, as MkDocs has it

    def run(self, root: Element) -> None:
        for element in root.iter():
            for name in ("href", "src"):
                link = element.get(name)
                if link is not None:
                    element.set(name, self.lead(link, self.page))

    @staticmethod
    def lead(link: str, page: str) -> str:
        """Return a link of a page below docs/, as one to a page of the site."""
        scheme, host, path, query, fragment = urlsplit(link)
        if scheme or host or not path:
            return link
        target = site_path(reach(repository_path(page), path))
        path = posixpath.relpath(target, posixpath.dirname(page) or ".")
        return urlunsplit((scheme, host, path, query, fragment))


class LeavingExtension(Extension):
    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - Markdown's name
        # Before MkDocs' own, whose priority is 0.
        md.treeprocessors.register(LEAVING, "leaving", 5)


LEAVING = Leaving()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    # Markdown takes extensions themselves, which the configuration's type does not say.
    config.markdown_extensions.append(LeavingExtension())  # type: ignore[arg-type]
    repository = os.environ.get("SITE_REPOSITORY")
    if repository:
        # As `repo_url` it would have each reader ask the forge how many stars there are.
        config.extra["social"] = [{"icon": "material/source-repository", "link": repository}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to and the navigation names, and what is linked to from there."""
    waiting = [repository_path(one.src_uri) for one in files.documentation_pages()]
    waiting += [repository_path(one) for one in navigated(config.nav) if one.startswith(PROJECT)]
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        if not name.startswith(DOCS):
            files.append(page_of(name, config))
        found = sorted(set(linked(name)) - seen) if name.endswith(".md") else []
        seen.update(found)
        waiting += [one for one in found if not one.startswith(DOCS)]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    del config, files
    LEAVING.page = page.file.src_uri
    if page.is_homepage:
        page.meta["hide"] = ["navigation", "toc"]  # said here: a forge would show it
    return markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Render the page anew, as a forge does."""
    del html, config
    return render(page.markdown or "", lambda link: address(link, page.file, files))


def address(link: str, page: File, files: Files) -> str:
    """Return where a link of a page leads in the site."""
    scheme, host, path, query, fragment = urlsplit(LEAVING.lead(link, page.src_uri))
    if scheme or host or not path:
        return link
    target = posixpath.normpath(posixpath.join(posixpath.dirname(page.src_uri), unquote(path)))
    found = files.get_file_from_path(target)
    return urlunsplit(("", "", found.url_relative_to(page), query, fragment)) if found else link


def navigated(part: object) -> Iterator[str]:
    """Yield the pages that a part of the navigation names."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict | list):
        for one in part.values() if isinstance(part, dict) else part:
            yield from navigated(one)


def linked(name: str) -> Iterator[str]:
    """Yield the files of the repository that one of its pages links to."""
    for link in links(ROOT / name):
        scheme, host, path, *_ = urlsplit(link)
        if path and not scheme and not host:
            target = reach(name, path)
            if (ROOT / target).is_file():
                yield target


def reach(name: str, path: str) -> str:
    """Return the file of the repository that a path means which stands in one of its pages."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(path)))
    index = FOLDERS.get(target, posixpath.join(target, "README.md"))
    return index if (ROOT / index).is_file() else target


def repository_path(page: str) -> str:
    """Return where the file of a page is."""
    if not page.startswith(PROJECT):
        return DOCS + page
    name = page.removeprefix(PROJECT)
    return name if (ROOT / name).exists() else name.removesuffix(".md")


def site_path(name: str) -> str:
    """Return the page, or other file, that the site has of a file of the repository."""
    if name.startswith(DOCS):
        return name.removeprefix(DOCS)
    return PROJECT + name if name.endswith(".md") else f"{PROJECT}{name}.md"


def page_of(name: str, config: MkDocsConfig) -> File:
    """Return a page of a file outside of ``docs/``, which the navigation may name or not."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if not name.endswith(".md"):
        language = LANGUAGES.get(PurePosixPath(name).suffix, "text")
        text = f"{CODE_PAGE}\n# {name}\n\n~~~~~~{language}\n{text}\n~~~~~~\n"
    return File.generated(
        config, site_path(name), content=text, inclusion=InclusionLevel.NOT_IN_NAV
    )
