"""What a shell is told when it completes, in the protocol of click's scripts."""

import pytest
from click.testing import CliRunner

from modelci.cli import main


def completed(shell: str, *words: str) -> list[str]:
    """Return what completes the last of the words."""
    *before, incomplete = words
    line = {
        "bash": {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(before))},
        "zsh": {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(before))},
        "fish": {"COMP_WORDS": " ".join(before), "COMP_CWORD": incomplete},
    }[shell]
    variables = {"_MODELCI_COMPLETE": f"{shell}_complete", **line}
    return CliRunner(env=variables).invoke(main, prog_name="modelci").stdout.splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_options_and_choices_are_completed(shell: str) -> None:
    for words, wanted in (
        (("modelci", "rep"), "report"),
        (("modelci", "run", "--exec"), "--executor"),
        (("modelci", "run", "--executor", "da"), "dask"),
        (("modelci", "registry", "his"), "history"),
        (("modelci", "--qui"), "--quiet"),
    ):
        told = "\n".join(completed(shell, *words))
        assert wanted in told, words
        assert "rollback" not in told


def test_a_shell_that_shows_help_has_it() -> None:
    told = completed("zsh", "modelci", "rep")
    assert told == ["plain", "report", "Show how the model changed, and judge it by the gates."]


def test_the_registry_offers_its_subcommands() -> None:
    told = completed("bash", "modelci", "registry", "")
    assert {"plain,show", "plain,diff", "plain,verify"} <= set(told)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_registers_itself_for_the_command(shell: str) -> None:
    runner = CliRunner(env={"_MODELCI_COMPLETE": f"{shell}_source"})
    script = runner.invoke(main, prog_name="modelci").stdout
    assert f"_MODELCI_COMPLETE={shell}_complete" in script
    assert {"zsh": "compdef _modelci_completion modelci", "fish": "complete --no-files"}[
        shell
    ] in script


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("rnu", "run"),
        ("run --executer dask", "--executor"),
        ("version", "`modelci --version`"),
        ("help", "`modelci --help`"),
        ("help run", "`modelci run --help`"),
        ("registry histroy credit", "history"),
        ("registry show --jsno", "--json"),
    ],
)
def test_a_slip_of_the_fingers_is_told_what_was_meant(words: str, meant: str) -> None:
    done = CliRunner().invoke(main, words.split(), prog_name="modelci")
    assert done.exit_code == 2
    # click quotes what it means since 8.4.
    assert f"Did you mean {meant}?" in done.stderr.replace("'", "")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("run --executor daks", "dask"),
        ("report --format htm", "html"),
        ("registry show --holder newset", "newest"),
        ("init --forge githbu", "github"),
    ],
)
def test_a_choice_that_is_none_is_told_which_was_meant(words: str, meant: str) -> None:
    for _ in range(2):
        done = CliRunner().invoke(main, words.split(), prog_name="modelci")
        assert done.exit_code == 2
        assert done.stderr.endswith(f"Did you mean '{meant}'?\n")


def test_a_choice_far_from_all_is_only_told_what_there_is() -> None:
    done = CliRunner().invoke(main, ["run", "--executor", "kubernetes"], prog_name="modelci")
    assert done.stderr.endswith("'kubernetes' is not one of 'local', 'dask'.\n")
