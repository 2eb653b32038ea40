"""skops files: a zip archive of arrays, and of a schema that says how to put them together.

The schema is a tree of nodes. Each names a type, and the loader that makes it; skops checks the
types alone, we both: a type that is vouched for as an estimator's part is no function to be called.
"""

import io
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any
from zipfile import BadZipFile, ZipFile

from modelci.domain.modelfiles import Danger
from modelci.modelfiles.allowed import skops_types
from modelci.modelfiles.archives import read_members
from modelci.modelfiles.arrays import examine_arrays, read_header
from modelci.modelfiles.findings import Examined, RefusedError, malformed
from modelci.modelfiles.formats import SCHEMA

_PROTOCOLS = (1, 2)  # in protocol 0 a function's real name stood elsewhere
_UNTYPED = {"JsonNode", "CachedNode"}  # values, and what stands in the tree already
_BY_TRUST = {  # which make nothing unless someone vouches for it by name
    "ConstructorFromReduceNode",
    "MethodNode",
    "OperatorFuncNode",
    "PartialNode",
    "QuantileForestNode",
}
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def examine(data: bytes, trusted: Collection[str], *, max_bytes: int) -> Examined:
    """Return what a skops file would bring in, without bringing it in."""
    found = Examined()
    try:
        with ZipFile(io.BytesIO(data)) as archive:
            members = read_members(archive, max_bytes=max_bytes)
        schema = json.loads(members[SCHEMA])
        _check_protocol(schema.get("protocol"))
        nodes = list(_nodes(schema))
        _check_identities(nodes)
        for node in nodes:
            _examine_node(node, members, frozenset(trusted), found, max_bytes)
    except RefusedError as error:
        found.add(error.finding)
    except (BadZipFile, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        found.add(malformed(SCHEMA, error))
    return found


def _check_protocol(protocol: object) -> None:
    if type(protocol) is not int or protocol not in _PROTOCOLS:
        raise RefusedError(Danger.MALFORMED, SCHEMA, f"protocol {protocol!r} is not known")


def _nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every node, at whatever place of the schema; its root must be one."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
            if isinstance(part.get("__loader__"), str):
                yield part
            elif part is schema or "__class__" in part:
                raise RefusedError(Danger.MALFORMED, SCHEMA, "a node has no loader")


def _check_identities(nodes: Iterable[Mapping[str, Any]]) -> None:
    """Refuse two things of one id: skops would put the first in the place of the second."""
    known: dict[object, tuple[object, ...]] = {}
    cached = set()
    for node in nodes:
        own = node.get("__id__")
        what = (node["__loader__"], node.get("__module__"), node.get("__class__"))
        if node["__loader__"] == "CachedNode":
            cached.add(own)
        elif own is not None and known.setdefault(own, what) != what:
            raise RefusedError(Danger.MALFORMED, SCHEMA, f"two things have the id {own}")
    if not cached <= known.keys():
        raise RefusedError(Danger.MALFORMED, SCHEMA, "it refers to what is not there")


def _examine_node(
    node: Mapping[str, Any],
    members: Mapping[str, bytes],
    trusted: frozenset[str],
    found: Examined,
    max_bytes: int,
) -> None:
    loader = node["__loader__"]
    if loader == "DictNode":
        _note_version(node["content"], found)
    if loader in _UNTYPED:
        return
    name = f"{node['__module__']}.{node['__class__']}"
    found.name(name)
    if loader not in skops_types() and loader not in _BY_TRUST:
        found.refuse(Danger.MALFORMED, loader, "no loader that is known")
    elif not _NAME.fullmatch(name):
        found.refuse(Danger.MALFORMED, name, "no name of a type")
    else:
        for one in _wanted(loader, name, node):
            found.name(one)
            if one not in trusted and one not in skops_types().get(loader, ()):
                found.refuse(Danger.UNTRUSTED_TYPE, one, f"by {loader}")
    _examine_file(loader, node, members, found, max_bytes)


def _note_version(content: Mapping[str, Any], found: Examined) -> None:
    """Note the scikit-learn that wrote an estimator, as its state says."""
    made_with = content.get("_sklearn_version")
    if isinstance(made_with, dict) and made_with.get("__loader__") == "JsonNode":
        found.made_with["scikit-learn"] = str(json.loads(made_with["content"]))


def _wanted(loader: str, name: str, node: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that a node brings in."""
    content = node.get("content")
    if not (loader == "PartialNode" and _calls_function(name, content)):
        yield name
    if loader == "MethodNode" and isinstance(content, dict):
        owner = content["obj"]
        yield f"{owner['__module__']}.{owner['__class__']}.{content['func']}"
    if loader == "RandomGeneratorNode":
        yield f"numpy.random.{_bit_generator(content)}"


def _calls_function(name: str, content: Any) -> bool:
    """Whether a partial is a later call of a function, which is judged for itself."""
    return name == "functools.partial" and content["func"].get("__loader__") == "FunctionNode"


def _bit_generator(content: Any) -> str:
    """Return the class that a generator's state names as plain text, and that loading calls."""
    return str(json.loads(content["bit_generator"]["content"]["bit_generator"]["content"]))


def _examine_file(
    loader: str,
    node: Mapping[str, Any],
    members: Mapping[str, bytes],
    found: Examined,
    max_bytes: int,
) -> None:
    if "file" not in node:
        return
    data = members[node["file"]]
    if loader == "SparseMatrixNode":
        if examine_arrays(data, (), found, max_bytes=max_bytes):
            found.refuse(Danger.MALFORMED, node["file"], "objects in a sparse matrix")
    elif loader == "NdArrayNode" and read_header(data, node["file"]).dtype.hasobject:
        found.refuse(Danger.MALFORMED, node["file"], "an array of objects is a pickle")
