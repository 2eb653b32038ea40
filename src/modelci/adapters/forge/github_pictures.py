"""Pictures in branches of the same repository, one a month, that share no history with the code."""

import base64
import re
from collections.abc import Callable, Mapping

import msgspec

from modelci.adapters.forge.failures import ConflictError, LookAgainError, NotFoundError
from modelci.adapters.forge.http import ForgeClient
from modelci.adapters.forge.pictures import is_month_over, is_text, month_of, name_pictures
from modelci.errors import ForgeError

PREFIX = "modelci/pictures-"
MESSAGE = "Store pictures for comments [skip ci]\n\nWritten by modelci; old months are deleted."
MAX_TRIES = 5

_NEEDS = "contents: write"


class _Object(msgspec.Struct):
    sha: str


class _Ref(msgspec.Struct):
    ref: str
    object: _Object


class _Commit(msgspec.Struct):
    tree: _Object


class _Entry(msgspec.Struct):
    path: str | None = None


class _Tree(msgspec.Struct):
    tree: list[_Entry]


class GitHubPictures:
    """Stores pictures; ``root`` is ``/repos/OWNER/NAME``, ``pages`` the repository's web address.

    ``clock`` gives Unix time: it says which month it is, and which are over.
    """

    def __init__(
        self, client: ForgeClient, root: str, *, pages: str, clock: Callable[[], float]
    ) -> None:
        self._client = client
        self._root = root
        self._pages = pages
        self._clock = clock

    def store(self, pictures: Mapping[str, bytes], *, keep_days: int) -> Mapping[str, str]:
        """Return each picture's address, which names the commit and so stays what it is.

        What the month's branch holds already is not written again.
        """
        if not pictures:
            return {}
        names = name_pictures(pictures)
        files = {names[name]: data for name, data in pictures.items()}
        now = self._clock()
        months, sha = self._store_files(month_of(now), files)
        self._remove_old(
            [one for one in months if is_month_over(one, now=now, keep_days=keep_days)]
        )
        return {name: f"{self._pages}/blob/{sha}/{file}?raw=true" for name, file in names.items()}

    def _store_files(self, month: str, files: Mapping[str, bytes]) -> tuple[list[str], str]:
        """Return the months that have a branch, and the commit that has the files.

        The branch is only moved forward: whoever is faster wins, and we build on theirs.
        """
        for tries in range(MAX_TRIES):
            branches = self._list_branches()
            try:
                return [*branches], self._extend(month, branches.get(month), files)
            except (ConflictError, LookAgainError) as error:
                lost = error
                if tries < MAX_TRIES - 1:
                    self._client.wait(error, tries=tries)
        raise lost

    def _list_branches(self) -> dict[str, str]:
        start = f"refs/heads/{PREFIX}"
        reply = self._client.send(
            "GET", f"{self._root}/git/matching-refs/heads/{PREFIX}", needs=_NEEDS
        )
        found = self._client.decode(reply, list[_Ref])
        return {
            one.ref.removeprefix(start): one.object.sha
            for one in found
            if re.fullmatch(r"refs/heads/modelci/pictures-\d{4}-\d{2}", one.ref, re.ASCII)
        }

    def _extend(self, month: str, tip: str | None, files: Mapping[str, bytes]) -> str:
        tree, known = (None, frozenset[str]()) if tip is None else self._read_tree(tip)
        missing = {name: data for name, data in files.items() if name not in known}
        if tip is not None and not missing:
            return tip
        made = self._create_tree(tree, missing)
        commit = {"message": MESSAGE, "tree": made, "parents": [] if tip is None else [tip]}
        sha = self._create("commits", commit)
        if tip is None:
            ref = {"ref": f"refs/heads/{PREFIX}{month}", "sha": sha}
            self._client.send("POST", f"{self._root}/git/refs", ref, needs=_NEEDS)
        else:
            path = f"{self._root}/git/refs/heads/{PREFIX}{month}"
            self._client.send("PATCH", path, {"sha": sha, "force": False}, needs=_NEEDS)
        return sha

    def _read_tree(self, tip: str) -> tuple[str, frozenset[str]]:
        reply = self._client.send("GET", f"{self._root}/git/commits/{tip}", needs=_NEEDS)
        tree = self._client.decode(reply, _Commit).tree.sha
        reply = self._client.send("GET", f"{self._root}/git/trees/{tree}", needs=_NEEDS)
        entries = self._client.decode(reply, _Tree).tree
        return tree, frozenset(one.path for one in entries if one.path is not None)

    def _create_tree(self, base: str | None, files: Mapping[str, bytes]) -> str:
        entries = [
            {"path": name, "mode": "100644", "type": "blob", **self._contents(name, data)}
            for name, data in sorted(files.items())
        ]
        body: dict[str, object] = {"tree": entries}
        return self._create("trees", body if base is None else {**body, "base_tree": base})

    def _contents(self, name: str, data: bytes) -> dict[str, str]:
        """Return a text as it is, and the id of anything else, which has to be sent before."""
        if is_text(name):
            return {"content": data.decode()}
        blob = {"content": base64.b64encode(data).decode(), "encoding": "base64"}
        return {"sha": self._create("blobs", blob)}

    def _create(self, kind: str, body: object) -> str:
        # What Git names by its contents may be sent twice.
        path = f"{self._root}/git/{kind}"
        reply = self._client.send("POST", path, body, needs=_NEEDS, repeatable=True)
        return self._client.decode(reply, _Object).sha

    def _remove_old(self, months: list[str]) -> None:
        for month in months:
            try:
                self._client.send(
                    "DELETE", f"{self._root}/git/refs/heads/{PREFIX}{month}", needs=_NEEDS
                )
            except NotFoundError:
                continue
            except ForgeError as error:
                self._client.warn(f"The pictures of {month} could not be removed: {error}")
