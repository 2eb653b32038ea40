"""What a target that keeps no folder remembers: its switches, the newest first, each by image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelci.domain.deployment import Running, TargetState, Trial

SCHEMA = "modelci.switches/1"
MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """An artifact's switches, newest first, as a target keeps them."""

    artifact: str
    schema: str = SCHEMA
    history: tuple[Running, ...] = ()

    def now(self, image: str | None) -> "Switches":
        """Return them as they are if ``image`` runs: what was not carried out never was.

        A switch is written down first: whoever died before it came to be has changed nothing.
        """
        found = [index for index, one in enumerate(self.history) if one.image == image]
        history = self.history[found[0] :] if found and image is not None else ()
        return replace(self, history=history)

    def after(self, running: Running) -> "Switches":
        """Return them after a switch; one to what runs already only tells more of it."""
        if not self.history:
            return replace(self, history=(running,))
        newest = self.history[0]
        if replace(newest, since=running.since) == running:
            return self
        is_same = (newest.release, newest.tag, newest.since) == (
            *(running.release, running.tag, running.since),
        )
        earlier = self.history[1:] if is_same else self.history
        return replace(self, history=(running, *earlier)[:MOST])

    def state(self, *, staged: Sequence[str], trial: Trial | None = None) -> TargetState:
        """Return what a target says of itself."""
        running = self.history[0] if self.history else None
        earlier = (one for one in self.history if running and one.release != running.release)
        return TargetState(
            running=running,
            previous=next(earlier, None),
            trial=trial,
            staged=tuple(staged),
            history=self.history,
        )

    @property
    def releases(self) -> tuple[str, ...]:
        """The releases that ran, the newest first."""
        return tuple(dict.fromkeys(one.release for one in self.history))
