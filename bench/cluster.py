"""Eight stages at once on a Dask cluster, beside what nobody can undercut."""

import json

from bench.harness import Bench, Case, Goal, Side

_WORKERS = 8
_SECONDS = 1.0
_ALLOWED = 1.5
_PIPELINE = f"""\
stages:
  nap:
    foreach: {list(range(_WORKERS))}
    do:
      cmd: sleep {_SECONDS:g}; echo ${{item}} > ${{item}}.txt
      deps: [start.txt]
      outs:
        - ${{item}}.txt
  join:
    cmd: cat ?.txt > all.txt
    deps: {[f"{number}.txt" for number in range(_WORKERS)]}
    outs: [all.txt]
"""
_ARGUMENTS = {"n_workers": _WORKERS, "threads_per_worker": 1, "dashboard_address": ":0"}
_CONFIG = f"executor: {{kind: dask, arguments: {json.dumps(_ARGUMENTS)}}}\n"
# Python, Dask, a look at the pipeline, as many workers with DVC loaded, and the naps.
_FLOOR = f"""\
import pathlib, time, distributed
def load():
    from modelci.adapters.dvc.pipeline import DvcPipeline
    return DvcPipeline
def look():
    from modelci.domain.pipeline import RunOptions
    load()(pathlib.Path.cwd(), environment={{}}).plan([], RunOptions())
if __name__ == "__main__":
    with distributed.LocalCluster(**{_ARGUMENTS}) as cluster, distributed.Client(cluster) as client:
        loading = [client.submit(load, workers=[one], pure=False) for one in client.nthreads()]
        look()
        client.gather(loading)
        client.gather(client.map(time.sleep, [{_SECONDS * _ALLOWED}] * {_WORKERS}, pure=False))
"""


def cluster_case() -> Case:
    """Return the case; its peer starts the same cluster and sleeps 1.5 times as long."""
    floor = "start, 1.5 naps"
    return Case(
        name="dask-8-naps",
        about=f"{_WORKERS} × `sleep {_SECONDS:g}` and a join on a Dask LocalCluster and its start",
        sides=(
            Side(name="modelci run", commands=(("modelci", "-q", "run", "--force"),)),
            Side(name=floor, commands=(("python", "floor.py"),)),
        ),
        goal=Goal(peer=floor, seconds_more=0.0),
        build=_build,
    )


def _build(bench: Bench) -> None:
    files = {
        "dvc.yaml": _PIPELINE,
        "start.txt": "go\n",
        "modelci.yaml": _CONFIG,
        "floor.py": _FLOOR,
    }
    for name, text in files.items():
        (bench.repository / name).write_text(text, encoding="utf-8")
    store = str(bench.repository.with_name("store"))
    for command in (
        ("git", "init", "--quiet"),
        ("dvc", "init", "--quiet"),
        ("dvc", "remote", "add", "--quiet", "--default", "store", store),
        ("git", "add", "--all"),
        ("git", "commit", "--quiet", "--message", "naps"),
    ):
        bench.read(*command)
