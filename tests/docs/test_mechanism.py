"""What tells whether a block is true finds the ones that are not."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs import calls, fragments
from tests.docs.blocks import ROOT, Block, pages, read
from tests.docs.shell import Shell, missing, typed


def block(language: str, text: str, reason: str | None = None) -> Block:
    return Block(page="page.md", line=1, language=language, text=text, reason=reason)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    folder, files = tmp_path / "here", tmp_path / "files"
    folder.mkdir()
    files.mkdir()
    shell = Shell(folder=folder, files=files, variables=dict(os.environ))
    yield shell
    shell.close()


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("```\ntext\n```\n", "(none)"),
        ("```fortran\nx\n```\n", "fortran"),
        ("    indented\n", "(none)"),
        ("```text\n$ modelci gate\n```\n", "`console`"),
        ("```text\nmodelci gate\n```\n", "`console`"),
        ("```console\nmodelci gate\n```\n", "begins with"),
        ("<!-- not run: example -->\n```sh\nls\n```\n", "reason"),
        ("<!-- not run: it needs a cluster -->\n```text\nls\n```\n", "needs no reason"),
        ("<!-- not run: it needs a cluster -->\n\nA sentence.\n", "(no block)"),
    ],
)
def test_a_block_of_which_nobody_knows_whether_it_is_true_is_found(page: str, problem: str) -> None:
    (one,) = read("page.md", page)
    assert problem in "\n".join(one.problems())


def test_a_mark_says_why_a_block_is_not_run() -> None:
    marker = "<!-- not run: it needs\n  a cluster -->"
    page = f"- item\n\n  {marker}\n\n  ```sh\n  ls\n  ```\n\n```sh\nls\n```\n"
    marked, unmarked = read("page.md", page)
    assert (marked.reason, marked.is_played) == ("it needs a cluster", False)
    assert (unmarked.reason, unmarked.is_played) == (None, True)
    assert not [*marked.problems(), *unmarked.problems()]


@pytest.mark.parametrize(
    "script",
    [
        "modelci nosuch",
        "modelci gate --nosuch",
        "cd x && modelci report one two three",
        "A=b modelci plan --matrix jenkins",
        "if true; then\n  .venv/bin/modelci registry histroy credit\nfi",
        "x | python -m modelci rollback",
    ],
)
def test_a_call_that_there_is_not_is_found(script: str) -> None:
    assert len(list(calls.problems(script))) == 1


@pytest.mark.parametrize(
    "script",
    [
        "modelci registry 'credit#prod'  # modelci nosuch",
        "modelci registry credit --remote --json > modelci.json 2>&1",
        "modelci golden no/such/model no/such/data --out x.json && echo modelci nosuch",
        'modelci run -j "$JOBS" \\\n  --pull',
        "modelci --help; modelci -C elsewhere gate",
        "git commit -m 'modelci nosuch'",
    ],
)
def test_calls_that_there_are_are_none_to_complain_of(script: str) -> None:
    assert list(calls.problems(script)) == []


def test_options_in_sentences_are_looked_up() -> None:
    assert not [*calls.unknown("modelci promote NAME --assign STAGE"), *calls.unknown("modelci")]
    assert list(calls.unknown("modelci promote --asign")) != []
    assert list(calls.unknown("modelci promot")) != []


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("yaml", "gates:\n  - {metric: roc_auc, mn: 0.7}\n"),
        ("yaml", "# modelci.yaml, monitor:\ncooldown: soon\n"),
        ("yaml", "# dvc.yaml, stages:\ntrain: {cmd: sh train.sh, out: [model]}\n"),
        ("yaml", "# dvc.yaml, stages:\ntrain: {cmd: modelci golden model}\n"),
        ("yaml", "# .github/workflows/x.yml, jobs.x:\nsteps: [{uses: actions/checkout@v4}]\n"),
        ("yaml", "# .github/workflows/x.yml, jobs.x:\nsteps: [{run: modelci gate --nosuch}]\n"),
        ("yaml", "# .github/workflows/x.yml, jobs.x:\nsteps:\n- uses: ./\n  with: {x: y}\n"),
        ("yaml", "# .github/workflows/x.yml, jobs.x:\nsteps: [{run: 'echo ${{ nosuch.x }}'}]\n"),
        ("yaml", "# .gitlab-ci.yml\ntrain: {scripts: [ls]}\n"),
        ("json", '{"schema": "modelci.run/1"}'),
        ("json", "{"),
        ("toml", "[project\n"),
        ("ini", "[Service]\nExecStart=modelci serve --nosuch\n"),
        ("ini", "# .dvc/config\n['remote \"x\"']\nurl = s3://x/y\nverfy = true\n"),
        ("jinja", "{% if %}"),
        ("jinja", '{% extends "modelci/comment.md.j2" %}{% block gates %}{{ x.y }}{% endblock %}'),
    ],
)
def test_a_piece_that_its_reader_refuses_is_found(language: str, text: str) -> None:
    with pytest.raises(Exception, match=r".+"):
        fragments.check(block(language, text))


def test_a_digest_need_not_be_written_out() -> None:
    image = "{repository: example.com/x, base: 'python@sha256:…'}"
    target = f"{{kind: image, stages: [prod], image: {image}}}"
    fragments.check(block("yaml", f"deploy: {{targets: {{x: {target}}}}}\n"))


@pytest.mark.parametrize(
    ("shown", "said", "lacks"),
    [
        ("0.1 s  one", "note\n12.5 s one\n", None),
        ("9.2 s.", "ran in 1 min 04 s.", None),
        ("one … two", "one\nand\ntwo", None),
        ("4b825dc642cb", "0f3ac29", None),
        ("two … one", "one\ntwo", "one"),
        ("v1.2.0 fell", "v1.2.0 rose", "v0 fell"),
    ],
)
def test_what_is_shown_has_to_be_said(shown: str, said: str, lacks: str | None) -> None:
    assert missing(shown, said) == lacks


def test_commands_and_their_output_are_told_apart() -> None:
    text = "$ cat <<'E' > x\n$ y\nE\n$ a \\\n    b   # exit code 3\nout\n\n$ c\n"
    here, long, last = typed(block("console", text))
    assert (here.command, here.shown) == ("cat <<'E' > x\n$ y\nE", "")
    assert (long.command, long.shown.strip(), long.code) == (
        "a \\\n    b   # exit code 3",
        "out",
        3,
    )
    assert (last.command, last.code) == ("c", 0)


def test_a_page_has_one_shell(shell: Shell) -> None:
    shell.play(block("console", "$ mkdir -p a/b && cd a/b\n$ export WHO=me\n"))
    shell.play(block("console", "$ echo $WHO in ${PWD##*/}\nme in b\n"))
    shell.play(block("python", "# say.py\nprint('hello')\n"))
    shell.play(block("console", "$ python say.py\nhello\n"))
    shell.play(block("python", "from pathlib import Path\nhere = Path.cwd().name\n"))
    shell.play(block("python", "assert here == 'b'\n"))


@pytest.mark.parametrize(
    "one",
    [
        block("console", "$ false\n"),
        block("console", "$ true    # exit code 1\n"),
        block("console", "$ echo one\ntwo\n"),
        block("sh", "false\ntrue\n"),
        block("console", "$ modelci config nosuch\n"),
        block("python", "assert False\n"),
    ],
    ids=lambda one: one.text,
)
def test_what_goes_otherwise_is_found(shell: Shell, one: Block) -> None:
    with pytest.raises(AssertionError):
        shell.play(one)


def test_what_is_left_running_ends_with_the_page(shell: Shell) -> None:
    shell.play(block("console", "$ sh -c 'echo ready; exec sleep 60' &\nready\n"))
    (process,) = shell.running
    shell.close()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_every_page_is_looked_at() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in pages()}
    assert {"README.md", "CONTRIBUTING.md", "docs/deploy.md"} <= names
    assert not any(name.startswith("docs/reference/") for name in names)
