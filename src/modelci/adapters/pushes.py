"""What ``git push --porcelain`` answers: why a remote took nothing, and whose move it is."""

import re
from collections.abc import Mapping

from modelci.errors import PromotionError, TagTakenError

REFUSALS = ("[rejected]", "[remote rejected]", "atomic push failed", "pre-receive hook declined")
_TAKEN = (
    *("already exists", "failed to update ref", "cannot lock ref", "Unable to create"),
    *("stale info", "needs force", "incorrect old value", "transaction failed"),
)
_SECONDARY = ("atomic push fail",)  # another ref of the push is to blame
_LOCKED = re.compile(r"cannot lock ref '([^']*)'")
_RULES_PAGE = re.compile(r"https?://\S+/rules\S*")
_BRANCH = "refs/heads/"
_MOST_SAID = 600


def read_verdicts(out: bytes) -> Mapping[str, str]:
    """Return why each ref was rejected; those that only went down with another are left out."""
    found: dict[str, str] = {}
    for line in out.decode(errors="replace").splitlines():
        flag, _, rest = line.partition("\t")
        if flag == "!":
            refs, _, summary = rest.partition("\t")
            found[refs.partition(":")[2]] = summary
    own = {ref: why for ref, why in found.items() if not any(one in why for one in _SECONDARY)}
    return own or found


def is_taken(out: bytes) -> bool:
    """Whether a ref was only not what it was thought to be: that can be looked at anew."""
    verdicts = read_verdicts(out)
    return bool(verdicts) and all(map(_blames_taken, verdicts.values()))


def _blames_taken(why: str) -> bool:
    return any(mark in why for mark in _TAKEN)


def refused(remote: str, err: str, verdicts: Mapping[str, str], *, reason: str) -> PromotionError:
    """Return the error for a push of which the remote took nothing.

    TagTakenError where a tag was there first or another push held it: that can be planned anew.
    """
    whys = [f"{ref.split('/', 2)[-1]} {why}" for ref, why in sorted(verdicts.items())]
    said = _said_by_remote(err)
    text = "; ".join(whys) or reason
    quoted = f": {said[:_MOST_SAID]}" if said else ""
    message = f"{remote} refused the push, nothing was tagged: {text}{quoted}"
    hint = _protection(said)
    if hint is not None:
        return PromotionError(message, hint=hint)
    if any(ref.startswith(_BRANCH) for ref in _LOCKED.findall(err) or verdicts):
        return PromotionError(
            message,
            hint="If somebody else pushed first, their push has a promotion of its own. If the "
            "branch is protected, let this job's token push to it, or set "
            "`promote: {commit_results: false}` and commit dvc.lock in the pull request.",
        )
    if verdicts and all(map(_blames_taken, verdicts.values())):
        return TagTakenError(message, hint="`modelci registry --remote` shows what is there.")
    return PromotionError(message, hint="A hook of the remote decides this: ask who keeps it.")


def is_first_come(why: str) -> bool:
    """Whether a ref was rejected because somebody else had moved it first."""
    return any(mark in why for mark in _TAKEN)


def _said_by_remote(err: str) -> str:
    lines = (line[8:].strip() for line in err.splitlines() if line.startswith("remote: "))
    said = " ".join(line for line in lines if line)
    return "".join(one for one in said if one.isprintable())


def _protection(said: str) -> str | None:
    """Return which setting of the forge to change, where a protected name is what stopped us."""
    page = _RULES_PAGE.search(said)
    if "GH013" in said or "rule violations" in said:
        where = page[0] if page else "Settings > Rules > Rulesets"
        return (
            f"A ruleset of the repository forbids it (protected names; {where}): put the app or "
            "deploy key that pushes on its bypass list, or take these names out of its targets."
        )
    if "GitLab" in said and "protected" in said:
        return (
            "Settings > Repository > Protected tags (or branches): let the token's role create "
            "what matches, or narrow the wildcard."
        )
    if "protected" in said.lower() or "GH006" in said:
        return (
            "The name is protected: let this job's token push it in the repository's settings "
            "(GitHub: Settings > Rules > Rulesets); for a branch, or set "
            "`promote: {commit_results: false}` and commit dvc.lock in the pull request."
        )
    return None
