"""``make demo``: a pull request, its merge, promotion, deployment and watch, on one machine.

Everything is real: a bare Git repository stands for the forge's, a folder for the DVC remote, and
fresh clones (as shallow as actions/checkout makes them) for the runners. Only the forge writes
files instead of comments. It is all made anew in ``demo/`` and left there to look at; the server
that answers requests ends with the demo.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.request import Request, urlopen

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

PROJECT = Path(__file__).resolve().parent.parent
DEMO = PROJECT / "demo"
REMOTE, STORE, FORGE, LAPTOP = (DEMO / name for name in ("remote.git", "store", "forge", "laptop"))
PIPELINE = ("dvc.yaml", "params.yaml", "modelci.yaml", ".dvcignore", ".dvc/config",
            ".dvc/.gitignore", "examples/credit")  # fmt: skip
WHO = "Ada Lovelace"
LAKE = DEMO / "lake"
RETRAIN = "modelci/retrain-credit"
DIRECTORY = "kind: directory, path: .modelci/staging"
SERVER = f"kind: server, path: {DEMO / 'server'}, server: {{listen: '127.0.0.1:@PORT@'}}"
APPLICATION = {
    "amount_eur": 9000, "term_months": 36, "income_eur": 41000, "debt_to_income": 0.21,
    "age_years": 37, "employment_years": 6.5, "credit_history_years": 9.0, "utilisation": 0.34,
    "delinquencies_2y": 0, "inquiries_6m": 1, "purpose": "car", "housing": "rent",
    "channel": "web", "region": "north",
}  # fmt: skip
ROWS = 3000  # applications a month
NEW_CHANNEL = {"new_channel_share": 0.06}
DRIFTED = {"population_shift": 0.5, "missing_share": 0.15}
# What comes each month, and how `modelci monitor` is to end.
MONTHS: tuple[tuple[str, str, dict[str, float], int], ...] = (
    ("2026-01", "a month like those it was trained on", {}, 0),
    ("2026-02", "and another one", {}, 0),
    ("2026-03", "people are a little poorer: a warning", {"population_shift": 0.15}, 0),
    ("2026-04", "and much poorer, with gaps: drift, so an issue is opened", DRIFTED, 1),
    ("2026-05", "a new channel: that is drift, but nothing is lost by it", NEW_CHANNEL, 1),
)  # fmt: skip
LAST, CONCEPT_DRIFT = "2026-06", {"concept_drift": 1.0}


def main() -> None:
    """Play it, and say where everything is."""
    began = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    say("1. A project: its pipeline in Git, its data and models in a DVC remote")
    make_project()
    say("   Its first version: there is nothing to compare with yet")
    push_runner("baseline")
    say("2. A pull request that makes the model worse")
    propose(1, "faster-learning", {"learning_rate: 0.1": "learning_rate: 0.3"})
    pull_request_runner(1, "faster-learning", expected=1)
    say("3. A pull request that makes it better")
    propose(2, "smaller-trees", {"max_leaf_nodes: 31": "max_leaf_nodes: 6"})
    pull_request_runner(2, "smaller-trees", expected=0)
    say("4. It is merged: nothing is trained twice, the version is a tag")
    merge(2, "smaller-trees")
    runner = push_runner("merge")
    say("5. The registry, read from the remote's tags alone")
    run("modelci", "registry", "--remote", folder=runner)
    say("6. It is deployed: fetched by hash, verified, checked against its golden requests")
    deployer = clone("deployer", "refs/heads/main")
    with serving(deployer):
        run("modelci", "deploy", "credit#staging", folder=deployer)
        say("   A decision")
        decide(deployer)
        say("7. Second thoughts: back to the version before, which is a tag as well")
        run("modelci", "rollback", "credit", "--stage", "staging", "--to", "v0.0.1",
            "--reason", "the branches ask why", folder=deployer)  # fmt: skip
        run("modelci", "deploy", "credit#staging", folder=deployer)
        decide(deployer)
        run("modelci", "deployments", folder=deployer)
        months_go_by(deployer)
    say(f"Done in {time.monotonic() - began:.0f} s. Look at:")
    show()


def months_go_by(deployer: Path) -> None:
    """Watch what is deployed, month by month, until it is trained again."""
    say("8. Months go by. What it is asked is held against what it was trained on")
    watcher = clone("watcher", "refs/heads/main")
    for window, what, knobs, expected in MONTHS:
        say(f"   {window}: {what}")
        go_by(window, knobs, deployer)
        turn_out(window)
        watch(watcher, window, expected=expected)
    say(f"   {LAST}: the same people, who now pay back otherwise. No column shows it")
    go_by(LAST, CONCEPT_DRIFT, deployer)
    watch(watcher, LAST, expected=0)
    say("   Its outcomes come in: that the model is worse opens a pull request that retrains")
    turn_out(LAST)
    watch(watcher, LAST, expected=1)
    say("9. It is judged: better on the newest month, and no worse on the old test set")
    number = retraining()
    offer(number, RETRAIN)
    pull_request_runner(number, RETRAIN, expected=0)
    say("   The rollback still holds the stage: that is let go, for the branches know why by now")
    run("modelci", "release-hold", "credit", "--stage", "staging",
        "--reason", "the retrained model follows what happens", folder=deployer)  # fmt: skip
    say("   It is merged, promoted and deployed")
    merge(number, RETRAIN)
    push_runner("retrained")
    run("modelci", "deploy", "credit#staging", folder=deployer)
    decide(deployer)


def make_project() -> None:
    """Make the repository from this project's pipeline, run it once, and push all of it."""
    for folder in (STORE, FORGE, LAPTOP):
        folder.mkdir(parents=True)
    for name in PIPELINE:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        (LAPTOP / name).parent.mkdir(parents=True, exist_ok=True)
        copy(PROJECT / name, LAPTOP / name)
    settings = LAPTOP / "modelci.yaml"
    server = SERVER.replace("@PORT@", str(free_port()))
    lake = {
        f"data/{name}/{{window}}": f"{LAKE}/{name}/{{window}}" for name in ("scored", "outcomes")
    }
    settings.write_text(replaced(settings.read_text(), {DIRECTORY: server, **lake}))
    git("init", "--quiet", "--initial-branch", "main", folder=LAPTOP)
    git("init", "--quiet", "--bare", "--initial-branch", "main", str(REMOTE), folder=DEMO)
    git("remote", "add", "origin", REMOTE.as_uri(), folder=LAPTOP)
    run("dvc", "remote", "add", "--quiet", "--default", "store", str(STORE), folder=LAPTOP)
    (LAPTOP / ".gitignore").write_text("__pycache__/\n")
    run("modelci", "run", "--push", folder=LAPTOP)
    git("add", ".", folder=LAPTOP)
    git("commit", "--quiet", "-m", "Score credit applications", folder=LAPTOP)
    git("push", "--quiet", "origin", "main", folder=LAPTOP)


def propose(number: int, branch: str, edits: Mapping[str, str]) -> None:
    """Push a branch that changes a parameter, and open its pull request."""
    git("switch", "--quiet", "--create", branch, "main", folder=LAPTOP)
    params = LAPTOP / "params.yaml"
    params.write_text(replaced(params.read_text(), edits))
    git("commit", "--quiet", "--all", "-m", branch.replace("-", " "), folder=LAPTOP)
    git("push", "--quiet", "origin", branch, folder=LAPTOP)
    (FORGE / "pulls").mkdir(exist_ok=True)
    sha = output("git", "rev-parse", branch, folder=LAPTOP)
    pull = {"head_sha": sha, "head_branch": branch, "base_branch": "main"}
    (FORGE / f"pulls/{number}.json").write_text(json.dumps(pull))
    offer(number, branch)


def offer(number: int, branch: str) -> None:
    """Push the test merge that a forge makes of a pull request."""
    git("switch", "--quiet", "--detach", "main", folder=LAPTOP)
    git("merge", "--quiet", "--no-ff", "-m", f"Merge {branch}", branch, folder=LAPTOP)
    git("push", "--quiet", "origin", f"HEAD:refs/pull/{number}/merge", folder=LAPTOP)
    git("switch", "--quiet", "main", folder=LAPTOP)


def replaced(text: str, edits: Mapping[str, str]) -> str:
    """Return the text with each of the edits, which must all find something."""
    for old, new in edits.items():
        if old not in text:
            sys.exit(f"demo: there is no {old!r} to replace")
        text = text.replace(old, new)
    return text


def merge(number: int, branch: str) -> None:
    """Merge the branch, as the forge's button does."""
    message = f"Merge pull request #{number} from {branch}"
    git("merge", "--quiet", "--no-ff", "-m", message, branch, folder=LAPTOP)
    git("push", "--quiet", "origin", "main", folder=LAPTOP)


def pull_request_runner(number: int, branch: str, *, expected: int) -> None:
    """Do what the pull request's job does, in a clone like actions/checkout's."""
    runner = clone(f"runner-pull-{number}", f"refs/pull/{number}/merge")
    head, base = (output("git", "rev-parse", ref, folder=LAPTOP) for ref in (branch, "main"))
    event = {
        "number": number,
        "pull_request": {
            "number": number,
            "head": {"sha": head, "ref": branch, "repo": {"full_name": "demo/credit"}},
            "base": {"sha": base, "ref": "main", "repo": {"full_name": "demo/credit"}},
        },
        "repository": {"full_name": "demo/credit", "default_branch": "main"},
    }
    variables = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_BASE_REF": "main",
                 "GITHUB_WORKFLOW": "model-pr"}  # fmt: skip
    modelci_ci(runner, event, variables, expected=expected)


def push_runner(name: str) -> Path:
    """Do what the job of a push to main does; return its folder."""
    runner = clone(f"runner-{name}", "refs/heads/main")
    parent = subprocess.run(
        ["git", "rev-parse", "--quiet", "--verify", "main^"],
        cwd=LAPTOP, check=False, capture_output=True, text=True,
    )  # fmt: skip
    event = {
        "before": parent.stdout.strip() or "0" * 40,
        "repository": {"full_name": "demo/credit", "default_branch": "main"},
    }
    variables = {"GITHUB_EVENT_NAME": "push", "GITHUB_REF_TYPE": "branch",
                 "GITHUB_REF_NAME": "main", "GITHUB_WORKFLOW": "model-merge"}  # fmt: skip
    modelci_ci(runner, event, variables, expected=0)
    git("pull", "--quiet", "--ff-only", "origin", "main", folder=LAPTOP)
    return runner


def clone(name: str, ref: str) -> Path:
    """Make a clone as actions/checkout does: one commit, detached for a pull request, no tags."""
    folder = DEMO / name
    folder.mkdir()
    git("init", "--quiet", "--initial-branch", "main", folder=folder)
    git("remote", "add", "origin", REMOTE.as_uri(), folder=folder)
    here = "refs/remotes/origin/main" if ref == "refs/heads/main" else f"refs/remotes/{ref[5:]}"
    git("fetch", "--quiet", "--no-tags", "--depth=1", "origin", f"+{ref}:{here}", folder=folder)
    detach = ("-B", "main") if ref == "refs/heads/main" else ("--detach",)
    git("checkout", "--quiet", *detach, here, folder=folder)
    return folder


def modelci_ci(
    runner: Path, event: Mapping[str, object], variables: Mapping[str, str], *, expected: int
) -> None:
    """Run ``modelci ci`` with the variables and files that GitHub's runner gives a job."""
    payload = DEMO / f"{runner.name}.event.json"
    payload.write_text(json.dumps(event))
    environment = {
        **variables,
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_PATH": str(payload),
        "GITHUB_REPOSITORY": "demo/credit",
        "GITHUB_JOB": "model",
        "GITHUB_SHA": output("git", "rev-parse", "HEAD", folder=runner),
        "GITHUB_STEP_SUMMARY": str(DEMO / f"{runner.name}.summary.md"),
        "GITHUB_OUTPUT": str(DEMO / f"{runner.name}.output"),
        "MODELCI_FORGE_KIND": "local",
        "MODELCI_FORGE_PATH": str(FORGE),
        "MODELCI_RUN_PULL": "true",
        "MODELCI_RUN_PUSH": "true",
        # Whoever opens a pull request here may merge it too: what its job ran is believed.
        "MODELCI_RUN_RUN_CACHE": "on",
    }
    log = DEMO / f"{runner.name}.log"
    run("modelci", "ci", folder=runner, environment=environment, expected=expected, log=log)
    print(f"(its output is in {log.relative_to(PROJECT)}; the verdict once more:)")
    run("modelci", "gate", folder=runner, expected=expected)


def go_by(window: str, knobs: Mapping[str, float], deployer: Path) -> None:
    """Let a month's applications be scored by the server, as it runs; their outcomes come later."""
    everything = yaml.safe_load((LAPTOP / "params.yaml").read_text())["generate"]
    first = everything["rows"] + ROWS * (int(window[-2:]) - 1)
    everything |= {"rows": ROWS, "first_row": first, "first_month": window, "months": 1, **knobs}
    for name in ("scored", "outcomes", "unknown"):
        (LAKE / name).mkdir(parents=True, exist_ok=True)
    params, file = LAKE / "params.yaml", LAKE / f"unknown/{window}.parquet"
    params.write_text(json.dumps({"generate": everything}))
    script = ("python", "examples/credit/generate.py", str(file), "--params", str(params))
    run(*script, folder=LAPTOP, quiet=True)
    table = pq.read_table(file)
    asked = table.select(list(APPLICATION)).to_pylist()
    answers = [
        one for start in range(0, ROWS, 1000) for one in ask(deployer, asked[start : start + 1000])
    ]
    scores = pa.array([one["score"] for one in answers])
    pq.write_table(table.select(["application_id", "default"]), file)
    scored = table.drop_columns(["default"]).append_column("score", scores)
    pq.write_table(scored, LAKE / f"scored/{window}.parquet")


def turn_out(window: str) -> None:
    """Let the month's outcomes be known."""
    shutil.move(LAKE / f"unknown/{window}.parquet", LAKE / f"outcomes/{window}.parquet")


def watch(folder: Path, window: str, *, expected: int) -> None:
    """Run what the scheduled job runs; show the verdict, and keep the rest and the page."""
    local = {"MODELCI_FORGE_KIND": "local", "MODELCI_FORGE_PATH": str(FORGE)}
    out = DEMO / "watched" / window
    command = ("modelci", "monitor", "--remote", "--window", window,
               "--format", "terminal", "--format", "html", "--out", str(out))  # fmt: skip
    run(*command, folder=folder, environment=local, expected=expected)
    found, _, rest = (out / "monitor.txt").read_text().partition("\nGates\n")
    _, heading, actions = rest.partition("\nActions\n")
    print(found + heading + actions)


def retraining() -> int:
    """Fetch the branch of the open retraining pull request; return its number."""
    (number,) = (
        int(path.stem)
        for path in (FORGE / "pulls").glob("*.json")
        if json.loads(path.read_text()).get("head_branch") == RETRAIN
    )
    git("fetch", "--quiet", "origin", f"{RETRAIN}:{RETRAIN}", folder=LAPTOP)
    return number


@contextmanager
def serving(folder: Path) -> Iterator[None]:
    """Keep the target's server up, as systemd would; it ends with the demo."""
    with (DEMO / "server.log").open("w") as talk:
        server = subprocess.Popen(
            ["modelci", "serve", "--target", "staging"],
            cwd=folder, env=variables(None), stdout=talk, stderr=talk,
        )  # fmt: skip
        try:
            yield
        finally:
            server.terminate()
            server.wait(timeout=60)


def decide(folder: Path) -> None:
    """Ask the server for a decision on one application."""
    print(f"$ curl {address_in(folder)}/predict -d '[{{\"amount_eur\": 9000, …}}]'")
    print(post(folder, [APPLICATION]))


def address_in(folder: Path) -> str:
    """Return where the server listens."""
    settings = (folder / "modelci.yaml").read_text()
    return settings.partition("listen: '")[2].partition("'")[0]


def ask(folder: Path, applications: list[dict[str, object]]) -> list[dict[str, float]]:
    """Return the server's answer to each application."""
    answers: list[dict[str, float]] = json.loads(post(folder, applications))["predictions"]
    return answers


def post(folder: Path, applications: list[dict[str, object]]) -> str:
    """Return what the server says of applications."""
    request = Request(
        f"http://{address_in(folder)}/predict",
        data=json.dumps(applications).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        return str(answer.read().decode())


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def show() -> None:
    """Print where the results are."""
    comments = sorted((FORGE / "comments").glob("*.md"))
    proposals = sorted([*(FORGE / "pulls").glob("*.md"), *(FORGE / "issues").glob("*.md")])
    pages = sorted([*DEMO.glob("runner-*/.modelci/report.html"), *DEMO.glob("watched/*/*.html")])
    logs = sorted(DEMO.glob("runner-*.log"))
    print("The comments are what the forge would show on the pull requests.")
    for label, paths in (
        ("comment", comments),
        ("opened", proposals),
        ("page", pages),
        ("log", logs),
    ):
        for path in paths:
            print(f"  {label:8} {path.relative_to(PROJECT)}")
    print(f"  {'tags':8} git -C {REMOTE.relative_to(PROJECT)} tag --list -n1")
    print(output("git", "tag", "--list", "-n1", folder=REMOTE))


def git(*arguments: str, folder: Path) -> None:
    """Run git."""
    run("git", *arguments, folder=folder, quiet=True)


def run(
    *command: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    expected: int = 0,
    quiet: bool = False,
    log: Path | None = None,
) -> None:
    """Run a command, showing it and its output; stop where it ends otherwise than expected."""
    if not quiet:
        print(f"\n$ {' '.join(command)}        # in {folder.relative_to(PROJECT)}", flush=True)
    with log.open("w") if log else nullcontext() as talk:
        done = subprocess.run(
            command, cwd=folder, env=variables(environment), check=False, stdout=talk, stderr=talk
        )
    if done.returncode != expected:
        what = f"{' '.join(command)} ended with {done.returncode}, not {expected}"
        sys.exit(f"demo: {what}; see {log or 'above'}")


def output(*command: str, folder: Path) -> str:
    """Return what a command prints."""
    done = subprocess.run(
        command, cwd=folder, env=variables(None), check=True, stdout=subprocess.PIPE
    )
    return done.stdout.decode().strip()


def variables(more: Mapping[str, str] | None) -> dict[str, str]:
    """Return this environment without anybody's Git or CI settings, and ``more``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT_", "GITHUB_", "MODELCI_", "DVC_")) and name != "CI"
    }
    who = {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in (("NAME", WHO), ("EMAIL", "ada@example.com"))
    }
    return kept | who | {"DVC_NO_ANALYTICS": "1"} | dict(more or {})


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


if __name__ == "__main__":
    main()
