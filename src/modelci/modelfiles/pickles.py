"""Pickles: read without running anything, and built from allowed names by the same rules.

A pickle is a program for a small machine. ``examine`` runs it with every name replaced by an inert
stand-in: nothing is imported and nothing called. ``build`` runs it for real. Both are one machine,
Python's own ``_Unpickler`` with rules of ours, so that what was examined is what is built:

- a name is allowed or the pickle is refused;
- only names are called, never what a call returned, and no state is set on a name itself;
- a dtype is what numpy would have written: one that hides that it holds objects lets plain bytes
  become pointers; and an array holds as much as its shape says, which numpy does not count;
- keys are plain, for hashing nested tuples takes time without end.

joblib writes arrays as raw bytes into the pickle, and those of objects as pickles within it.
"""

import _compat_pickle
import io
import math
import pickle
from collections.abc import Callable, Container, Iterable, Mapping
from importlib import import_module
from typing import Any, ClassVar, cast

import numpy as np

from modelci.domain.modelfiles import Danger
from modelci.modelfiles.findings import Examined, RefusedError, malformed

JOBLIB_ARRAY = "joblib.numpy_pickle.NumpyArrayWrapper"
_DTYPE = "numpy.dtype"
_ARRAY = "numpy.ndarray"
_ARRAYS = frozenset(
    {
        _ARRAY,
        "numpy.matrix",
        "numpy._core.multiarray._reconstruct",
        "numpy.core.multiarray._reconstruct",
        "numpy.ma.core._mareconstruct",
    }
)
_ENCODE = "_codecs.encode"  # how protocols 0 to 2 write bytes
_BYTES = "builtins.bytes"  # and none of them
_RECONSTRUCTOR = "copyreg._reconstructor"  # how protocols 0 and 1 make objects
_ALIGNMENT = "numpy_array_alignment_bytes"
_MAX_STEPS = 50_000_000
_OBJECT_FLAGS = 0x7F  # all but the mark of an aligned struct


def examine(
    data: bytes, allowed: Container[str], *, start: int = 0, max_steps: int = _MAX_STEPS
) -> Examined:
    """Return what the pickle at ``start`` would bring in, without bringing it in."""
    found = Examined()
    stream = io.BytesIO(data)
    stream.seek(start)
    try:
        _Examiner(stream, allowed, max_steps, found).load()
    except RefusedError as error:
        found.add(error.finding)
    except Exception as error:  # noqa: BLE001 - whatever broken bytes make of the machine
        found.add(malformed("pickle", error))
    return found


def build(data: bytes, allowed: Container[str], *, max_steps: int = _MAX_STEPS) -> Any:
    """Return the object that a pickle describes.

    Raises RefusedError for what ``examine`` has findings of, and whatever broken bytes raise.
    """
    return _Builder(io.BytesIO(data), allowed, max_steps).load()


def resolve(module: str, name: str, allowed: Container[str]) -> tuple[str, str]:
    """Return the name that is meant: as Python 3 has it, or as it stands.

    Raises RefusedError where neither is allowed.
    """
    today = _compat_pickle.NAME_MAPPING.get(
        (module, name), (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
    )
    for found in (today, (module, name)):
        if ".".join(found) in allowed:
            return found
    raise RefusedError(Danger.FORBIDDEN_GLOBAL, ".".join(today))


def make_dtype(code: object, state: object) -> np.dtype[Any]:
    """Return the dtype that ``code`` and its pickled ``state`` describe.

    Raises RefusedError where the state is not what numpy writes of such a dtype.
    """
    if not isinstance(state, tuple) or not 8 <= len(state) <= 9:
        raise _no_dtype("its state is no dtype's")
    _, order, base, names, fields, size, _, flags = state[:8]
    try:
        if fields:
            made = np.dtype(_structure(names, fields, size))
        elif base:
            made = np.dtype(base)
        else:
            made = _plain_dtype(code)
    except (TypeError, ValueError, KeyError) as error:
        raise _no_dtype(str(error)) from error
    if not isinstance(flags, int) or (flags ^ made.flags) & _OBJECT_FLAGS:
        raise _no_dtype(f"its flags are {flags}, those of {made} are {made.flags}")
    if size not in {-1, made.itemsize}:
        made = _sized(made, size)
    ordered: np.dtype[Any] = made.newbyteorder(order) if order in {"<", ">"} else made
    return ordered


def check_array_state(shape: object, dtype: np.dtype[Any], held: object) -> None:
    """Raise RefusedError for an array whose data are not as many as its shape says."""
    if not isinstance(shape, tuple) or not isinstance(held, (list, bytes, str)):
        raise RefusedError(Danger.MALFORMED, _ARRAY, "its state is no array's")
    count = math.prod(map(int, shape))
    unit = 1 if isinstance(held, list) else dtype.itemsize
    # What Python 2 wrote as text may take more characters than bytes; numpy counts those itself.
    is_counted = isinstance(held, list) == dtype.hasobject and len(held) == count * unit
    if min(map(int, shape), default=0) < 0 or not (is_counted or isinstance(held, str)):
        raise RefusedError(Danger.MALFORMED, _ARRAY, f"it holds {len(held):,} of {count * unit:,}")


def _plain_dtype(code: object) -> np.dtype[Any]:
    """Return the dtype of a code such as ``f8``."""
    if not isinstance(code, str):
        raise TypeError("it has no code")
    return np.dtype(code)


def _structure(names: Iterable[str], fields: Mapping[str, Any], size: int) -> Any:
    parts = [fields[name] for name in names]
    return {
        "names": list(names),
        "formats": [part[0] for part in parts],
        "offsets": [part[1] for part in parts],
        "itemsize": size,
    }


def _sized(made: np.dtype[Any], size: object) -> np.dtype[Any]:
    """Give text and bytes the length that only the state knows."""
    unit = {"U": 4, "S": 1, "V": 1}.get(made.char)
    if made.names or unit is None or not isinstance(size, int) or size < 0 or size % unit:
        raise _no_dtype(f"an item of {made} does not take {size} bytes")
    return np.dtype(f"{made.char}{size // unit}")


def _no_dtype(detail: str) -> RefusedError:
    return RefusedError(Danger.MALFORMED, _DTYPE, detail)


class _Counted(dict[int, Callable[[Any], None]]):
    """A table of opcodes that ends a program which never does."""

    def __init__(self, table: Mapping[int, Callable[[Any], None]], steps: int) -> None:
        super().__init__(table)
        self._left = steps

    def __getitem__(self, opcode: int) -> Callable[[Any], None]:
        self._left -= 1
        if self._left < 0:
            raise RefusedError(Danger.TOO_LARGE, "pickle", "it has too many opcodes")
        return super().__getitem__(opcode)


class _Machine(pickle._Unpickler):  # noqa: SLF001 - as joblib does
    """Python's own machine, and our rules."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(
        pickle._Unpickler.dispatch  # noqa: SLF001
    )
    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, stream: io.BytesIO, allowed: Container[str], steps: int) -> None:
        super().__init__(stream)
        self.stream = stream
        self.allowed = allowed
        self.steps = steps
        self.dispatch = _Counted(type(self).dispatch, steps)  # type: ignore[misc]

    # What the two machines do in their own way.

    def is_name(self, value: object) -> bool:
        """Whether ``value`` is what ``find_class`` returned."""
        raise NotImplementedError

    def call(self, function: Any, arguments: Any) -> Any:
        """Return what the function returns."""
        raise NotImplementedError

    def make(self, kind: Any, arguments: Any, named: Mapping[str, Any]) -> Any:
        """Return ``kind.__new__(kind, …)``."""
        raise NotImplementedError

    def set_state(self, made: Any, state: Any) -> Any:
        """Return the object once it has its state."""
        raise NotImplementedError

    # The opcodes that can do harm.

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        function = self._only_name(self.stack[-1])
        self.stack[-1] = self.call(function, arguments)

    def load_newobj(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self.make(self._only_name(self.stack[-1]), arguments, {})

    def load_newobj_ex(self) -> None:
        named, arguments = self.stack.pop(), self.stack.pop()
        self.stack[-1] = self.make(self._only_name(self.stack[-1]), arguments, named)

    def _instantiate(self, klass: Any, arguments: Any) -> None:
        del klass, arguments
        raise RefusedError(Danger.MALFORMED, "pickle", "it makes objects as Python 2 did")

    def load_build(self) -> None:
        state = self.stack.pop()
        if self.is_name(self.stack[-1]):
            raise RefusedError(Danger.MALFORMED, "pickle", "it sets the state of a name")
        self.stack[-1] = self.set_state(self.stack[-1], state)

    def get_extension(self, code: int) -> None:
        raise RefusedError(Danger.MALFORMED, "pickle", f"it uses the extension {code}")

    def load_bytearray8(self) -> None:
        size = int.from_bytes(self.read(8), "little")
        self.append(bytearray(self.read(size)))

    def load_appends(self) -> None:
        items = self.pop_mark()
        self._extend(items)

    def load_append(self) -> None:
        self._extend([self.stack.pop()])

    def load_setitems(self) -> None:
        items = self.pop_mark()
        self._update(items)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def load_additems(self) -> None:
        items = self.pop_mark()
        _check_keys(items)
        for item in items:
            self._container().add(item)

    def load_frozenset(self) -> None:
        items = self.pop_mark()
        _check_keys(items)
        self.append(frozenset(items))

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._update(items)

    dispatch |= {
        pickle.REDUCE[0]: load_reduce,
        pickle.NEWOBJ[0]: load_newobj,
        pickle.NEWOBJ_EX[0]: load_newobj_ex,
        pickle.BUILD[0]: load_build,
        pickle.BYTEARRAY8[0]: load_bytearray8,
        pickle.APPENDS[0]: load_appends,
        pickle.APPEND[0]: load_append,
        pickle.SETITEMS[0]: load_setitems,
        pickle.SETITEM[0]: load_setitem,
        pickle.ADDITEMS[0]: load_additems,
        pickle.FROZENSET[0]: load_frozenset,
        pickle.DICT[0]: load_dict,
    }

    def _only_name(self, function: Any) -> Any:
        if not self.is_name(function):
            what = type(function).__name__
            raise RefusedError(Danger.MALFORMED, "pickle", f"it calls no name but a {what}")
        return function

    def _container(self) -> Any:
        if self.is_name(self.stack[-1]):
            raise RefusedError(Danger.MALFORMED, "pickle", "it puts items into a name")
        return self.stack[-1]

    def _extend(self, items: list[Any]) -> None:
        container = self._container()
        for item in items:
            container.append(item)

    def _update(self, items: list[Any]) -> None:
        container = self._container()
        _check_keys(items[::2])
        for key, value in zip(items[::2], items[1::2], strict=True):
            container[key] = value

    def read_array(self, shape: Any, dtype: np.dtype[Any], alignment: Any) -> bytes | None:
        """Return the bytes of a joblib array, or None where a pickle of it follows instead."""
        if dtype.hasobject:
            return None
        if alignment is not None:
            self.stream.read(int.from_bytes(self.stream.read(1), "little"))
        sizes = [*map(int, shape), dtype.itemsize]
        size = math.prod(sizes)
        left = len(self.stream.getbuffer()) - self.stream.tell()
        if min(sizes) < 0 or size > left:
            raise RefusedError(
                Danger.MALFORMED, JOBLIB_ARRAY, f"{size:,} bytes of an array, {left:,} are there"
            )
        return self.stream.read(size)


def _check_keys(keys: Iterable[Any]) -> None:
    for key in keys:
        if not _is_plain(key, depth=3):
            raise RefusedError(Danger.MALFORMED, "pickle", "a key is nested too deeply")


def _is_plain(key: Any, *, depth: int) -> bool:
    if not isinstance(key, (tuple, frozenset)):
        return True
    return depth > 0 and len(key) <= 16 and all(_is_plain(one, depth=depth - 1) for one in key)


class _Name:
    """Stands for what a pickle names."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class _Made:
    """Stands for what calling a name would return."""

    __slots__ = ("arguments", "dtype", "of")

    def __init__(self, of: str, arguments: Any) -> None:
        self.of = of
        self.arguments = arguments
        self.dtype: np.dtype[Any] | None = None

    def append(self, item: object) -> None:
        """Take an item, as a list would."""

    def add(self, item: object) -> None:
        """Take an item, as a set would."""

    def __setitem__(self, key: object, value: object) -> None:
        """Take an item, as a dict would."""


class _Examiner(_Machine):
    """The machine with stand-ins."""

    def __init__(
        self, stream: io.BytesIO, allowed: Container[str], steps: int, found: Examined
    ) -> None:
        super().__init__(stream, allowed, steps)
        self.found = found

    def find_class(self, module: str, name: str) -> _Name:
        try:
            module, name = resolve(module, name, self.allowed)
        except RefusedError as error:
            self.found.add(error.finding)
            dotted = error.finding.name
        else:
            dotted = f"{module}.{name}"
        self.found.name(dotted)
        return _Name(dotted)

    def is_name(self, value: object) -> bool:
        return isinstance(value, _Name)

    def call(self, function: _Name, arguments: Any) -> Any:
        _check_call(function.name, arguments)
        if function.name == _ENCODE:
            return arguments[0].encode("latin1")
        if function.name == _BYTES and not arguments:
            return b""
        if function.name == _RECONSTRUCTOR and isinstance(arguments[0], _Name):
            return _Made(arguments[0].name, arguments)
        return _Made(function.name, arguments)

    def make(self, kind: _Name, arguments: Any, named: Mapping[str, Any]) -> Any:
        del named
        return self.call(kind, arguments)

    def set_state(self, made: Any, state: Any) -> Any:
        if not isinstance(made, _Made):
            raise TypeError(f"a {type(made).__name__} takes no state")
        if made.of == _DTYPE:
            made.dtype = make_dtype(made.arguments[0], _resolve_dtypes(state))
        if made.of in _ARRAYS:
            check_array_state(state[1], _real_dtype(state[2]), state[4])
        if made.of == JOBLIB_ARRAY:
            return self._skip_array(state)
        note_version(state, self.found)
        return made

    def _skip_array(self, state: Any) -> Any:
        dtype = _real_dtype(state["dtype"])
        if self.read_array(state["shape"], dtype, state.get(_ALIGNMENT)) is None:
            return _Examiner(self.stream, self.allowed, self.steps, self.found).load()
        return _Made(_ARRAY, ())


def note_version(state: Any, found: Examined) -> None:
    """Note the scikit-learn that wrote an estimator, as its state says."""
    made_with = state.get("_sklearn_version") if isinstance(state, dict) else None
    if isinstance(made_with, str):
        found.made_with["scikit-learn"] = made_with


def _resolve_dtypes(state: Any) -> Any:
    """Put the real dtypes where a dtype's state has stand-ins: its base, and those of fields."""
    parts = list(state)
    if isinstance(parts[2], tuple):
        parts[2] = (_real_dtype(parts[2][0]), *parts[2][1:])
    if isinstance(parts[4], dict):
        parts[4] = {name: (_real_dtype(one[0]), *one[1:2]) for name, one in parts[4].items()}
    return tuple(parts)


def _real_dtype(value: Any) -> np.dtype[Any]:
    if not isinstance(value, _Made) or value.of != _DTYPE:
        raise _no_dtype(f"a {type(value).__name__} is none")
    return _plain_dtype(value.arguments[0]) if value.dtype is None else value.dtype


def _check_call(name: str, arguments: Any) -> None:
    if not isinstance(arguments, tuple):
        raise TypeError(f"{name} is called with no tuple of arguments")
    is_bytes = arguments[1:] == ("latin1",) and isinstance(arguments[0], str)
    if name == _ENCODE and not is_bytes:
        raise RefusedError(Danger.FORBIDDEN_GLOBAL, _ENCODE, "it is called for other than bytes")


class _Wrapper:
    """joblib's stand-in for an array, as far as its state goes."""


class _Builder(_Machine):
    """The machine for real, with allowed names alone."""

    def __init__(self, stream: io.BytesIO, allowed: Container[str], steps: int) -> None:
        super().__init__(stream, allowed, steps)
        self._names: dict[int, tuple[str, Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        module, name = resolve(module, name, self.allowed)
        dotted = f"{module}.{name}"
        found = _Wrapper if dotted == JOBLIB_ARRAY else _import(module, name)
        self._names[id(found)] = (dotted, found)
        return found

    def is_name(self, value: object) -> bool:
        return id(value) in self._names

    def call(self, function: Any, arguments: Any) -> Any:
        _check_call(self._names[id(function)][0], arguments)
        return function(*arguments)

    def make(self, kind: Any, arguments: Any, named: Mapping[str, Any]) -> Any:
        return kind.__new__(kind, *arguments, **named)

    def set_state(self, made: Any, state: Any) -> Any:
        if isinstance(made, _Wrapper):
            return self._array(state)
        if isinstance(made, np.dtype):
            make_dtype(made.str, state)
        if isinstance(made, np.ndarray):
            check_array_state(state[1], state[2], state[4])
        self.stack.append(state)
        pickle._Unpickler.dispatch[pickle.BUILD[0]](cast("Any", self))  # noqa: SLF001
        return self.stack[-1]

    def _array(self, state: Any) -> Any:
        dtype, shape = state["dtype"], state["shape"]
        if not isinstance(dtype, np.dtype):
            raise _no_dtype("an array has none")
        data = self.read_array(shape, dtype, state.get(_ALIGNMENT))
        if data is None:
            return _Builder(self.stream, self.allowed, self.steps).load()
        flat = np.frombuffer(bytearray(data), dtype=dtype)
        if not dtype.isnative:
            flat = flat.astype(dtype.newbyteorder("="))
        if state["order"] == "F":
            return flat.reshape(shape[::-1]).transpose()
        return flat.reshape(shape)


def _import(module: str, name: str) -> Any:
    found = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found
