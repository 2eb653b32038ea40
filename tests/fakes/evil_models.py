"""Files that would run code when they are loaded, or do other harm: made here, never kept.

Those of PICKLES would all create the file ``canary``, where the loader did what they ask.
"""

import bz2
import gzip
import io
import json
import lzma
import pickle
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Name:
    """A name as a pickle brings it in."""

    module: str
    name: str
    stacked: bool = False


@dataclass(frozen=True)
class Call:
    """A call of anything: REDUCE."""

    function: Any
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Build:
    """A value whose state is set: BUILD."""

    value: Any
    state: Any


@dataclass(frozen=True)
class Raw:
    """Opcodes as they stand."""

    opcodes: bytes
    parts: tuple[Any, ...] = field(default=())


def assemble(value: object, protocol: int = 4) -> bytes:
    """Write a pickle, whatever it does."""
    return b"\x80" + bytes([protocol]) + emit(value) + b"."


def emit(value: object) -> bytes:  # noqa: PLR0911 - one for each kind
    """Return the opcodes that put a value on the stack."""
    match value:
        case Name(module, name, stacked):
            if stacked:
                return emit(module) + emit(name) + b"\x93"
            return f"c{module}\n{name}\n".encode()
        case Call(function, arguments):
            return emit(function) + emit(arguments) + b"R"
        case Build(inner, state):
            return emit(inner) + emit(state) + b"b"
        case Raw(opcodes, parts):
            return b"".join(map(emit, parts)) + opcodes
        case tuple():
            return b"(" + b"".join(map(emit, value)) + b"t"
        case list():
            return b"](" + b"".join(map(emit, value)) + b"e"
        case dict():
            pairs = (emit(key) + emit(one) for key, one in value.items())
            return b"}(" + b"".join(pairs) + b"u"
        case _:
            return pickle.dumps(value, 3)[2:-1].replace(b"q\x00", b"")


SYSTEM = Name("os", "system")


FROM_FILES = (
    "numpy.load",
    "joblib.load",
    "joblib's own load",
    "pandas.read_pickle",
    "pandas' pickle",
)


def pickles(canary: Path, *, files: bool = True) -> dict[str, bytes]:
    """Return pickles that would create the canary, by what they try.

    Those of FROM_FILES load a further file that does, which is written beside it.
    """
    command, code = f"touch {canary}", f"open({str(canary)!r}, 'w').close()"
    module = Call(Name("importlib", "import_module"), ("os",))
    system = Call(Name("builtins", "getattr"), (module, "system"))
    named: dict[str, Any] = {
        "os.system": Call(SYSTEM, (command,)),
        "posix.system": Call(Name("posix", "system"), (command,)),
        "stacked": Call(Name("os", "system", stacked=True), (command,)),
        "subprocess": Call(Name("subprocess", "check_output"), (["touch", str(canary)],)),
        "subprocess.Popen": Call(Name("subprocess", "Popen"), (["touch", str(canary)],)),
        "eval": Call(Name("builtins", "eval"), (code,)),
        "exec": Call(Name("builtins", "exec"), (code,)),
        "open": Call(Name("builtins", "open"), (str(canary), "w")),
        "importlib and getattr": Call(system, (command,)),
        "__import__ and getattr": Call(
            Call(
                Name("builtins", "getattr"),
                (Call(Name("builtins", "__import__"), ("os",)), "system"),
            ),
            (command,),
        ),
        "attrgetter": Call(Call(Name("operator", "attrgetter"), ("system",)), (module,)),
        "attrgetter called": Call(
            Call(Call(Name("operator", "attrgetter"), ("system",)), (module,)), (command,)
        ),
        "methodcaller": Call(
            Call(Name("operator", "methodcaller"), ("system", command)), (module,)
        ),
        "partial": Call(Call(Name("functools", "partial"), (SYSTEM, command)), ()),
        "functools.reduce": Call(Name("functools", "reduce"), (SYSTEM, [command], command)),
        "map": Call(
            Name("builtins", "list"), (Call(Name("builtins", "map"), (SYSTEM, [command])),)
        ),
        "runpy": Call(
            Name("runpy", "_run_code"), (Call(Name("builtins", "compile"), (code, "x", "exec")), {})
        ),
        "code": Call(
            Call(
                Name("builtins", "getattr"),
                (Call(Name("code", "InteractiveInterpreter")), "runsource"),
            ),
            (code,),
        ),
        "timeit": Call(Name("timeit", "timeit"), (code, "pass", Name("time", "perf_counter"), 1)),
        "pty": Call(Name("pty", "spawn"), (["touch", str(canary)],)),
        "shutil": Call(Name("shutil", "copyfile"), ("/dev/null", str(canary))),
        "pickle.loads": Call(Name("pickle", "loads"), (assemble(Call(SYSTEM, (command,))),)),
        "numpy's runstring": Call(Name("numpy.testing._private.utils", "runstring"), (code, {})),
        "numpy's f2py": Call(Name("numpy.f2py.crackfortran", "myeval"), (code, {})),
        "numpy's os": Call(Name("numpy.f2py.diagnose", "os.system", stacked=True), (command,)),
        "joblib's os": Call(Name("joblib.numpy_pickle", "os.system", stacked=True), (command,)),
        "a scipy distribution": Build(
            Call(
                Name("copyreg", "_reconstructor"),
                (
                    Name("scipy.stats._continuous_distns", "norm_gen"),
                    Name("builtins", "object"),
                    None,
                ),
            ),
            {"_parse_arg_template": code, "badvalue": None},
        ),
        "state of a call": Build(Call(SYSTEM, (command,)), {}),
        "within a list": [1, {"a": (Call(SYSTEM, (command,)),)}],
        "a class of Python 2": Raw(b"(S'" + command.encode() + b"'\nios\nsystem\n"),
        "an object of Python 2": Raw(b"(cos\nsystem\nS'" + command.encode() + b"'\no"),
    }
    return {name: assemble(value) for name, value in named.items()} | {
        "python 2's eval": assemble(Call(Name("__builtin__", "eval"), (code,)), protocol=2),
        "python 2's commands": assemble(
            Call(Name("commands", "getoutput"), (command,)), protocol=2
        ),
        "protocol 0": b"cos\nsystem\n(S'" + command.encode() + b"'\ntR.",
        "in an array's pickle": joblib_with(assemble(Call(SYSTEM, (command,)))),
        "in an array's dtype": _wrapper(Call(SYSTEM, (command,))),
        **(from_files(canary) if files else {}),
    }


def from_files(canary: Path) -> dict[str, bytes]:
    """Return pickles that load a further file, which creates the canary."""
    inner = assemble(Call(SYSTEM, (f"touch {canary}",)))
    plain, array = canary.with_suffix(".pkl"), canary.with_suffix(".npy")
    plain.write_bytes(inner)
    array.write_bytes(npy_with(inner))
    return {
        "numpy.load": assemble(Call(Name("numpy", "load"), (str(array), None, True))),
        "joblib.load": assemble(Call(Name("joblib", "load"), (str(plain),))),
        "joblib's own load": assemble(Call(Name("joblib.numpy_pickle", "load"), (str(plain),))),
        "pandas.read_pickle": assemble(Call(Name("pandas", "read_pickle"), (str(plain),))),
        "pandas' pickle": assemble(Call(Name("pandas.io.pickle", "read_pickle"), (str(plain),))),
    }


FORBIDDEN = (
    "os.popen os.execv posix.system nt.system sys.setprofile socket.socket urllib.request.urlopen "
    "webbrowser.open ctypes.CDLL ctypes.pythonapi marshal.loads types.FunctionType types.CodeType "
    "pickle.Unpickler _pickle.loads pip.main pip._internal.main cython.inline asyncio.run "
    "multiprocessing.Process threading.Thread concurrent.futures.ThreadPoolExecutor pdb.run "
    "cProfile.run doctest.testfile builtins.getattr builtins.setattr builtins.delattr "
    "builtins.compile builtins.globals builtins.vars builtins.breakpoint builtins.input "
    "builtins.__import__ operator.attrgetter operator.itemgetter operator.methodcaller "
    "functools.reduce functools.partialmethod itertools.starmap codecs.decode codecs.encode "
    "numpy.load numpy.fromfile numpy.save numpy.vectorize numpy.lib.npyio.NpzFile "
    "numpy.testing._private.utils.runstring numpy.f2py.compile numpy.ctypeslib.load_library "
    "numpy.distutils.exec_command.exec_command pandas.eval pandas.read_pickle pandas.read_sql "
    "pandas.core.computation.eval.eval scipy.io.loadmat scipy.stats.rv_continuous "
    "sklearn.datasets._base.load_files sklearn.datasets.fetch_openml "
    "sklearn.utils._testing.assert_run_python_script_without_output joblib.load joblib.Memory "
    "joblib._store_backends.FileSystemStoreBackend joblib.externals.loky.get_reusable_executor "
    "joblib.externals.cloudpickle.loads cloudpickle.loads dill.loads torch.load __main__.Model"
).split()
"""Names that no pickle may bring in."""


def crafted() -> dict[str, bytes]:
    """Return pickles that run nothing of their own, and do harm all the same."""
    laughs: Any = ()
    for _ in range(40):
        laughs = Raw(b"2\x86", (laughs,))  # DUP, TUPLE2: twice what was there
    kind = Name("sklearn.linear_model._logistic", "LogisticRegression")
    return {
        "a dtype that hides objects": assemble(lying_dtype()),
        "a dtype with foreign fields": assemble(
            Build(
                Call(Name("numpy", "dtype"), ("V8", False, True)),
                (3, "|", None, ("a",), {"a": (lying_dtype(), 0)}, 8, 1, 16),
            )
        ),
        "a dtype of a wrong size": assemble(
            Build(
                Call(Name("numpy", "dtype"), ("f8", False, True)),
                (3, "<", None, None, None, 800, 8, 0),
            )
        ),
        "a class is changed": assemble(Build(kind, (None, {"predict": 1}))),
        "items into a class": assemble(Raw(b"(K\x01K\x02u", (kind,))),
        "a key without end": assemble(Raw(b"s", (Raw(b"}"), laughs, 1))),
        "a set without end": assemble(Raw(b"\x90", (Raw(b"\x8f("), laughs))),
        "an extension": assemble(Raw(b"\x82\x01")),
        "a persistent id": assemble(Raw(b"Q", ("x",))),
        "a buffer from outside": assemble(Raw(b"\x97")),
        "a codec": assemble(Call(Name("_codecs", "encode"), ("x", "rot13"))),
        "a call of a call": assemble(Call(Call(Name("builtins", "dict")), ())),
        "bytes without end": assemble(Raw(b"\x96" + (2**62).to_bytes(8, "little"))),
        "an array that is too large": _wrapper(
            Build(
                Call(Name("numpy", "dtype"), ("f8", False, True)),
                (3, "<", None, None, None, -1, -1, 0),
            ),
            shape=(2**40,),
        ),
        "an array of no dtype": _wrapper("f8"),
        "an endless name": assemble(Raw(b"c" + b"a" * 5000 + b"\nb\n")),
    }


def lying_dtype() -> Build:
    """Return a dtype of objects whose flags say that it holds none."""
    made = Call(Name("numpy", "dtype"), ("O8", False, True))
    return Build(made, (3, "|", None, None, None, -1, -1, 0))


def joblib_with(inner: bytes) -> bytes:
    """Return what joblib writes of an array of objects, whose pickle is ``inner``."""
    dtype = Build(
        Call(Name("numpy", "dtype"), ("O8", False, True)),
        (3, "|", None, None, None, -1, -1, 63),
    )
    return _wrapper(dtype, after=inner)


def _wrapper(dtype: object, *, shape: tuple[int, ...] = (1,), after: bytes = b"") -> bytes:
    kind = Name("joblib.numpy_pickle", "NumpyArrayWrapper")
    state = {
        "subclass": Name("numpy", "ndarray"),
        "shape": shape,
        "order": "C",
        "dtype": dtype,
        "allow_mmap": False,
        "numpy_array_alignment_bytes": 16,
    }
    return b"\x80\x04" + emit(Build(Raw(b")\x81", (kind,)), state)) + after + b"."


def npy_with(inner: bytes) -> bytes:
    """Return an array file of objects, whose pickle is ``inner``."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([None]), allow_pickle=True)
    head = buffer.getvalue()
    return head[: head.index(b"\n") + 1] + inner


def npz_with(inner: bytes) -> bytes:
    """Return an archive of array files, one of them of objects."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", npy_with(inner))
    return buffer.getvalue()


COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "zlib, stored": lambda data: zlib.compress(data, 0),
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
}


# skops files.


def node(loader: str, dotted: str, **more: object) -> dict[str, Any]:
    """Return a node of a schema."""
    module, _, name = dotted.rpartition(".")
    return {"__class__": name, "__module__": module, "__loader__": loader, **more}


def text(value: object) -> dict[str, Any]:
    """Return a node of a plain value."""
    return node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)


def listing(*items: dict[str, Any], kind: str = "Tuple") -> dict[str, Any]:
    """Return a node of a tuple or list."""
    return node(f"{kind}Node", f"builtins.{kind.lower()}", content=list(items))


def mapping(**items: dict[str, Any]) -> dict[str, Any]:
    """Return a node of a dict."""
    keys = listing(*(node("TypeNode", "builtins.str") for _ in items), kind="List")
    return node("DictNode", "builtins.dict", content=items, key_types=keys)


def skops_file(
    root: dict[str, Any], *, protocol: object = 2, members: Mapping[str, bytes] | None = None
) -> bytes:
    """Return a skops file with that schema."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in (members or {}).items():
            archive.writestr(name, data)
        schema = {**root, "protocol": protocol, "_skops_version": "0.16.0"}
        archive.writestr("schema.json", json.dumps(schema))
    return buffer.getvalue()


def skops_files(canary: Path) -> dict[str, bytes]:
    """Return skops files that are to be refused, by what they try."""
    command = f"touch {canary}"
    function = node("FunctionNode", "os.system")
    arguments = listing(text(command))
    roots: dict[str, dict[str, Any]] = {
        "an untrusted type": node("ObjectNode", "subprocess.Popen", content=mapping()),
        "a constructor": node(
            "ConstructorFromReduceNode",
            "subprocess.Popen",
            content=listing(listing(text("touch"), text(str(canary)), kind="List")),
        ),
        "a function": function,
        "a function as a type": node("TypeNode", "os.system"),
        "a trusted type as a constructor": node(
            "ConstructorFromReduceNode", "numpy.dtype", content=listing(text("O"))
        ),
        "a trusted type as a function": node("FunctionNode", "sklearn.tree._tree.Tree"),
        "a method": node(
            "MethodNode",
            "sklearn.linear_model._logistic.LogisticRegression",
            content={
                "func": "fit",
                "obj": node("ObjectNode", "sklearn.linear_model._logistic.LogisticRegression"),
            },
        ),
        "a partial of a function": node(
            "PartialNode",
            "functools.partial",
            content={
                "func": function,
                "args": arguments,
                "kwds": mapping(),
                "namespace": text(None),
            },
        ),
        "a partial of a type": node(
            "PartialNode",
            "functools.partial",
            content={
                "func": node("TypeNode", "builtins.list"),
                "args": arguments,
                "kwds": mapping(),
                "namespace": text(None),
            },
        ),
        "attrgetter": node("OperatorFuncNode", "operator.attrgetter", attrs=arguments),
        "methodcaller": node("OperatorFuncNode", "operator.methodcaller", attrs=arguments),
        "any function of operator": node("OperatorFuncNode", "operator.call", attrs=arguments),
        "a default of a dict": node(
            "DefaultDictNode",
            "collections.defaultdict",
            content={"main": mapping(), "default_factory": function},
        ),
        "a dict of another type": node("DictNode", "os._Environ", content={}, key_types=listing()),
        "a list of another type": node("ListNode", "builtins.map", content=[]),
        "a loss of another type": node(
            "LossNode", "os.system", content=mapping(), __reduce__={"args": arguments}
        ),
        "a tree of another type": node(
            "TreeNode", "os.system", content=mapping(), __reduce__={"args": arguments}
        ),
        "a generator of another name": node(
            "RandomGeneratorNode",
            "numpy.random._generator.Generator",
            content={"bit_generator": mapping(bit_generator=text("seed")), "seed_seq": mapping()},
        ),
        "an unknown loader": node("EvalNode", "builtins.str", content=text(command)),
        "a loader that is no text": {**node("x", "builtins.str"), "__loader__": ["JsonNode"]},
        "a module with dots before it": node("ObjectNode", "..os.system"),
        "a module that is a path": node("ObjectNode", "../../evil.Type"),
        "a cached node of nobody": node("CachedNode", "builtins.str", __id__=7),
        "two of one id": listing(
            node("TypeNode", "builtins.list", __id__=3),
            node("FunctionNode", "numpy.log1p", __id__=3),
        ),
        "hidden in a dict's content": node(
            "DictNode",
            "builtins.dict",
            content={"__loader__": function, "x": function},
            key_types=listing(),
        ),
        "a member that is not there": node("BytesNode", "builtins.bytes", file="../../etc/passwd"),
        "no node at all": {},
    }
    array = node("NdArrayNode", "numpy.ndarray", type="numpy", file="1.npy")
    sparse = node("SparseMatrixNode", "scipy.sparse._csr.csr_matrix", type="scipy", file="1.npz")
    evil = assemble(Call(SYSTEM, (command,)))
    return {name: skops_file(root) for name, root in roots.items()} | {
        "the function of protocol 0": skops_file(
            node(
                "FunctionNode", "numpy.log1p", content={"module_path": "os", "function": "system"}
            ),
            protocol=0,
        ),
        "a protocol of tomorrow": skops_file(text(1), protocol=3),
        "a protocol that is no number": skops_file(text(1), protocol=True),
        "an array of objects": skops_file(array, members={"1.npy": npy_with(evil)}),
        "an array that is a pickle": skops_file(array, members={"1.npy": evil}),
        "a sparse matrix of objects": skops_file(sparse, members={"1.npz": npz_with(evil)}),
        "an array that claims too much": skops_file(array, members={"1.npy": _claiming()}),
        "two schemas": _twice(skops_file(text(1)), skops_file(function)),
    }


def _claiming() -> bytes:
    """Return an array file that holds less than it says."""
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + bytes(64)


def _twice(first: bytes, second: bytes) -> bytes:
    """Return an archive with two schemas: which one is read?"""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for data in (first, second):
            with zipfile.ZipFile(io.BytesIO(data)) as one:
                # zipfile warns of it, and so writes it.
                info = zipfile.ZipInfo("schema.json")
                archive.NameToInfo.pop("schema.json", None)
                archive.writestr(info, one.read("schema.json"))
    return buffer.getvalue()


def bombs(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield small files that unpack to more than ``size`` bytes."""
    zeros = b"\x80\x04B" + (size).to_bytes(4, "little") + b"\x00" * size + b"."
    for name, compress in COMPRESSORS.items():
        if name != "zlib, stored":
            yield name, compress(zeros)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * size + b"{}")
    yield "skops", buffer.getvalue()
    inner = io.BytesIO()
    np.savez_compressed(inner, data=np.zeros(size // 8 + 8))
    sparse = node("SparseMatrixNode", "scipy.sparse._csr.csr_matrix", type="scipy", file="1.npz")
    yield "a sparse matrix in skops", skops_file(sparse, members={"1.npz": inner.getvalue()})
    yield "npz", inner.getvalue()
