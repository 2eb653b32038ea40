"""What the workflows need of the world, as Protocols; adapters and the tests' fakes keep them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from modelci.config.model import CommentMode
from modelci.domain.changes import FileChange, TrackedFile
from modelci.domain.deployment import Observation, Release, Running, TargetState
from modelci.domain.elsewhere import Source, StageOutcome, StageTask
from modelci.domain.evaluation import Rescore
from modelci.domain.golden import Environment, Golden, Health
from modelci.domain.metrics import MetricKey, MetricValue
from modelci.domain.modelfiles import FileScan, Trust
from modelci.domain.modelsignatures import BytesSignature, Files, TrustedSigner
from modelci.domain.notes import LoggedCommit
from modelci.domain.pipeline import Plan, RunOptions, StageRun
from modelci.domain.plots import Gallery
from modelci.domain.promotion import PlannedTag
from modelci.domain.provenance import FileBytes
from modelci.domain.registry import TagRecord
from modelci.domain.retraining import Built, RetrainOrder
from modelci.domain.schedule import Needs
from modelci.domain.signatures import Signature
from modelci.domain.snapshot import Snapshot
from modelci.errors import ConfigError

if TYPE_CHECKING:
    from pandas import DataFrame
    from pyarrow import RecordBatch


class Advance(Protocol):
    """Says how far something has come; what is known of the ``total`` only now counts from now."""

    def __call__(self, done: float, total: float | None = None, /) -> None: ...


class Progress(Protocol):
    """Talk for people, never a result: a live line, log groups, or nothing."""

    def busy(
        self, text: str, total: float | None = None, unit: str = ""
    ) -> AbstractContextManager[Advance]:
        """Show what is done inside to whoever watches it; lines of a log say nothing of it.

        It may be told how much is done, of ``total``; the unit is bytes, s, or a plural such as
        rows. Several may be at work at a time, in threads of their own.
        """

    def note(self, text: str) -> None:
        """Say one line."""

    def warn(self, text: str) -> None:
        """Say one line that deserves a look."""

    def stage_started(self, name: str, reasons: Sequence[str], done: int, total: int) -> None:
        """Say that a stage's command starts; its output follows."""

    def stage_output(self, name: str, text: str) -> None:
        """Pass on a piece of what a stage's command prints; several may run at a time."""

    def stage_ended(self, run: StageRun, done: int, total: int) -> None:
        """Say what came of a stage."""


class FileTree(Protocol):
    """The files of one revision, or of the work tree, by path from the top of the repository."""

    def paths(self) -> Sequence[str]:
        """Return every path (of the work tree: tracked, and untracked but not ignored)."""

    def read(self, paths: Sequence[str]) -> Mapping[str, bytes]:
        """Return the contents of those ``paths`` that exist, all in one go."""

    def blob_id(self, path: str) -> str | None:
        """Return Git's id for the contents of ``path``."""


Blobs = Mapping[str, Sequence[bytes]]
"""Contents by the folder of refs that they are to be kept in."""

NO_BLOBS: Blobs = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit; ``parents`` as the object names them, also where a shallow clone lacks them."""

    sha: str
    parents: tuple[str, ...]
    seconds: int
    subject: str


class Git(Protocol):
    """One Git repository; shas are full.

    Every method raises UsageError, ConfigError or ForgeError with the setting that helps.
    """

    @property
    def root(self) -> Path:
        """The top of the work tree."""

    def resolve(self, revision: str) -> Commit:
        """Return the commit that a name means (a tag is followed to its commit)."""

    def head(self) -> Commit | None:
        """Return the commit checked out, or None before the first."""

    def is_shallow(self) -> bool:
        """Whether history is cut."""

    def has(self, sha: str) -> bool:
        """Whether the commit's own object is here."""

    def is_dirty(self) -> bool:
        """Whether tracked files differ from HEAD, or new files are not ignored."""

    def branch(self) -> str | None:
        """Return the branch checked out, or None when detached."""

    def default_branch(self, configured: str | None = None) -> tuple[str, str] | None:
        """Return the default branch's name and the ref to read it by."""

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the best common ancestor, or None where none is known here."""

    def remote(self) -> str | None:
        """Return the name of the remote that this branch follows, else ``origin``, else any."""

    def remote_url(self) -> str | None:
        """Return the URL of ``remote()``."""

    def fetch(self, refspecs: Sequence[str], *, depth: int | None = None) -> None:
        """Fetch from ``remote()`` without tags; ``depth`` deepens a shallow clone to it."""

    def deepen(self, by: int | None) -> None:
        """Fetch ``by`` more commits of what is shallow, or (None) all of them."""

    def tree(self, sha: str) -> FileTree:
        """Return the files of a commit."""

    def work_tree(self) -> FileTree:
        """Return the files as they lie on disk."""

    def changed_files(self, base: str, head: str | None) -> tuple[FileChange, ...]:
        """Return the files that differ between two commits, or a commit and the work tree."""

    def tags(
        self,
        artifacts: Sequence[str] | None = None,
        *,
        remote: str | None = None,
        messages: bool = True,
    ) -> tuple[TagRecord, ...]:
        """Return the registry's tags: local ones, or ``remote``'s, fetched now.

        Those that break a rule come with their ``flaw``; without ``messages`` it takes half the
        memory.
        """

    def tag_ids(self, artifacts: Sequence[str] | None = None, *, remote: str) -> Mapping[str, str]:
        """Return the ids of the remote's tag objects by short name; nothing is fetched.

        Of all tags, or those that may be of these artifacts.
        """

    def commit_times(self, shas: Sequence[str]) -> Mapping[str, int]:
        """Return when those of the commits that are here were made, in Unix seconds."""

    def push(
        self,
        tags: Sequence[PlannedTag],
        *,
        remote: str | None,
        commit_to: tuple[str, str] | None = None,
        blobs: Blobs = NO_BLOBS,
    ) -> None:
        """Create the tags, all or none: on ``remote`` by one atomic push, else only here.

        ``commit_to`` (sha, branch) moves the branch to the commit in the same push, and ``blobs``
        are kept in it too, as ``keep`` does. Raises TagTakenError where another tag has a name,
        PromotionError where the remote says no.
        """

    def keep(self, blobs: Blobs, *, remote: str | None) -> tuple[str, ...]:
        """Keep contents at refs of their own: on ``remote`` and here, or (None) only here.

        By folder of refs (``refs/modelci/…/``): below it the ref bears the blob's own id, so that
        none is ever moved. Returns the refs. Raises PromotionError where the remote says no.
        """

    def kept(self, under: str, *, remote: str | None) -> Mapping[str, bytes]:
        """Return what is kept in a folder of refs, by ref: ``remote``'s, fetched now, or here.

        That works in a shallow clone. Whoever can push may have put it there: at most 32 of them
        are read, and none of more than 1 MiB.
        """

    def remotes(self) -> tuple[str, ...]:
        """Return the names of all remotes."""

    def with_remote(self, name: str) -> "Git":
        """Return the same repository with ``name`` for its ``remote()``."""

    def tagger(self) -> str:
        """Return who tags here, as ``Name <address>``."""

    def trailers(self, key: str, *, since: str | None, until: str) -> tuple[str, ...]:
        """Return the values of a trailer in the commits after ``since`` (or all) up to ``until``.

        Of a shallow clone those that are here.
        """

    @property
    def signs_tags(self) -> bool:
        """Whether the tags that ``push`` makes are signed."""

    def verify_tags(
        self, refs: Sequence[str], *, allowed_signers: bytes | None = None
    ) -> tuple[Signature, ...]:
        """Return what the tags at these refs are signed with, and what Git makes of it.

        ``allowed_signers`` is the text of an SSH allowed-signers file; None: Git's own.
        """

    def try_signing(
        self, tags: Sequence[PlannedTag], *, allowed_signers: bytes | None = None
    ) -> tuple[Signature, ...]:
        """Make the objects that ``push`` takes for these tags, and say what ``verify_tags`` would.

        No ref is made and nothing pushed. Raises ConfigError where Git cannot sign.
        """

    def commits_since(self, since: str, until: str, *, limit: int) -> tuple[LoggedCommit, ...]:
        """Return the commits after ``since`` up to ``until``, the newest first, at most so many.

        Of a shallow clone those that are here.
        """

    def first_parents(self, ref: str, *, limit: int) -> tuple[Commit, ...]:
        """Return the last ``limit`` commits of a branch itself, the newest first.

        Of a shallow clone those that are here.
        """

    def is_on_branch(self, sha: str, branch: str) -> bool:
        """Whether the remote's ``branch``, fetched now, holds the commit."""

    def remote_branch(self, branch: str) -> str | None:
        """Return the commit of ``remote()``'s branch, fetched now; None where it has none."""

    def push_branch(self, branch: str, sha: str, *, expected: str | None) -> None:
        """Let ``remote()``'s branch name a commit, whose history it need not continue.

        ``expected`` is what it names until then (None: there is no such branch); where it does
        not, BranchMovedError is raised and nothing changed.
        """

    def commit_paths(self, paths: Sequence[str], message: str) -> str:
        """Commit those paths of the work tree on top of HEAD, move HEAD there, return its sha."""

    def bundle(self, path: Path, *, sha: str, since: str) -> None:
        """Write the commits after ``since`` up to ``sha`` to a bundle file."""

    def unbundle(self, path: Path) -> str:
        """Fetch a bundle's commit and return its sha."""


class Journal(Protocol):
    """What is remembered of the windows of a watched model: documents by the windows' names."""

    @property
    def place(self) -> str:
        """Where it is, in messages."""

    def read(self) -> Mapping[str, bytes]:
        """Return the entries by name, fetched now; of very many the last ones by name.

        Whoever can push may have written them: none is larger than some megabytes.
        """

    def write(self, name: str, data: bytes, *, message: str, seconds: int) -> bool:
        """Add an entry, or replace the one of that name; False where it is there as it is.

        What others write at the same time stays. Raises ForgeError where it cannot be kept.
        """


class StageExecutor(Protocol):
    """Machines elsewhere that run stages in clones of their own; asked by several threads."""

    @property
    def slots(self) -> int:
        """How many stages can run at a time, as far as is known."""

    @property
    def share_credentials(self) -> bool:
        """Whether the machines are to have the DVC remote's credentials from here."""

    def run(
        self,
        task: StageTask,
        source: Source,
        *,
        needs: Needs,
        output: Callable[[bytes], None],
        is_halted: Callable[[], bool],
    ) -> StageOutcome | None:
        """Run one stage and wait for it; ``output`` hears what it prints.

        Returns None once ``is_halted`` and nothing of it is left. A machine that is lost is no
        failure: another takes the stage. Raises PipelineError where none can.
        """

    def close(self) -> None:
        """Give back what was started for the run."""


class Pipeline(Protocol):
    """The DVC pipeline of the checkout, run through DVC itself."""

    def version(self) -> str:
        """Return DVC's version."""

    def check_remote(self) -> str | None:
        """Return the default DVC remote's name once it answers; None where none is set.

        Raises PipelineError where it cannot be reached.
        """

    def plan(self, targets: Sequence[str], options: RunOptions) -> Plan:
        """Say what a run would do."""

    def outdated(self, targets: Sequence[str], *, recorded: bool) -> Plan:
        """Say which stages are out of date by dvc.lock alone, the same in every clone.

        With ``recorded`` those that the remote's run cache knows are to be restored.
        """

    def run(
        self,
        targets: Sequence[str],
        options: RunOptions,
        *,
        progress: Progress,
        executor: StageExecutor | None = None,
    ) -> tuple[StageRun, ...]:
        """Run what is out of date; a stage that fails is a value, not an error."""

    def missing(self, files: Sequence[TrackedFile]) -> tuple[TrackedFile, ...] | None:
        """Return those tracked files that the DVC remote lacks, by hash and without download.

        A folder is there if its list is, and every file in it. A remote that is a folder which does
        not exist lacks everything. Returns None where no remote is set. Raises PipelineError where
        it does not answer.
        """

    def push(self, *, progress: Progress, record: bool = True) -> int:
        """Push data and models to the DVC remote, with ``record`` also the run cache.

        Returns how many objects went.
        """


class SnapshotReader(Protocol):
    """Reads what DVC's files say of a revision, without running DVC."""

    def read(self, tree: FileTree, *, pull: bool = False) -> Snapshot:
        """Return the snapshot.

        Metrics and parameters that DVC keeps in its cache are read from there; with ``pull``
        they are fetched from the DVC remote first. What cannot be had becomes a note.
        """

    def metrics(
        self, trees: Iterable[FileTree]
    ) -> Iterator[Mapping[MetricKey, MetricValue] | ConfigError]:
        """Yield the metrics of each revision, and for one that cannot be read its error.

        Cheap for many revisions; what is not in Git or DVC's cache is left out.
        """


class MissingDataError(ConfigError):
    """A dataset is not in this revision, not in the cache, or cannot be read."""


class MissingColumnError(MissingDataError):
    """A dataset lacks the ``column`` that is asked of it."""

    def __init__(self, message: str, *, hint: str | None = None, column: str = "") -> None:
        super().__init__(message, hint=hint)
        self.column = column


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A dataset's columns; ``hash`` is DVC's or Git's id of what is read, None outside both.

    In the work tree, too, it is that of the content.
    """

    frame: "DataFrame"
    hash: str | None


class Tables(Protocol):
    """Reads datasets (CSV, Parquet, JSON Lines) of a revision by hash, never by checkout."""

    def read(
        self,
        tree: FileTree,
        path: str,
        *,
        columns: Sequence[str] | None = None,
        pull: bool = False,
    ) -> Table:
        """Return those columns (default: all) of the file at ``path``, rows in the file's order.

        With ``pull`` the DVC remote is asked for what the cache lacks. Raises MissingDataError.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a dataset that can be read by itself: a file, or row groups ``start:stop`` of one.

    ``path`` is absolute, or a URL of fsspec.
    """

    path: str
    start: int | None = None
    stop: int | None = None


class RowScanner(Protocol):
    """Reads datasets of any size piece by piece, outside of any revision.

    A location is a file (CSV, TSV, Parquet, JSON Lines, also compressed), a folder of them, a
    pattern with ``*``, or an fsspec URL of these. Every method raises MissingDataError for what is
    not there or cannot be read, MissingColumnError for what lacks a column.
    """

    def scan(
        self, location: str, *, columns: Sequence[str] | None = None
    ) -> Iterator["RecordBatch"]:
        """Return the rows in batches, files in order of their names.

        Only ``columns`` where given. Batches may differ in columns and types, as their files do.
        """

    def pieces(self, location: str) -> tuple[Piece, ...]:
        """Return what ``scan`` reads, in its order."""

    def read(
        self, piece: Piece, *, columns: Sequence[str] | None = None
    ) -> Iterator["RecordBatch"]:
        """Return the batches of one piece: together the pieces' are those of ``scan``."""

    def hashes(self, location: str) -> Mapping[str, str]:
        """Return the MD5 of each file, as DVC has it, by its path as it was named."""


class Countable(Protocol):
    """Counts of rows, which add up whatever the order; they can be sent to other processes."""

    def add(self, batch: "RecordBatch", /) -> None:
        """Count a batch's rows."""

    def merge(self, other: Self, /) -> None:
        """Add what another, that began alike, has counted."""


Counted = TypeVar("Counted", bound=Countable)


class RowCounter(Protocol):
    """Counts the rows of a dataset, here or on several machines."""

    def count(self, location: str, empty: Counted) -> Counted:
        """Return what ``empty`` becomes by all rows of the dataset; raises as ``RowScanner``."""


class ModelScanner(Protocol):
    """Scans models of a revision by hash, never by checkout, and without loading them."""

    def scan(
        self, tree: FileTree, path: str, *, trust: Trust, flavour: str | None, pull: bool
    ) -> tuple[FileScan, ...]:
        """Return what was found of the file at ``path``, or of every file in it.

        With ``pull`` the DVC remote is asked for what the cache lacks. Raises MissingDataError.
        """


class Asker(Protocol):
    """Asks a model in a process of its own, which sees no credentials."""

    def ask(
        self,
        model: Path,
        rows: Sequence[Mapping[str, object]],
        *,
        golden: Golden | None,
        trust: Trust,
        flavour: str | None,
    ) -> Sequence[Mapping[str, object]]:
        """Return what the model at that path answers to each row, by column of a request log.

        Rows may have more columns than it reads. Raises ConfigError where it is not to be loaded or
        cannot answer.
        """


class StoredBytes(Protocol):
    """Hashes the bytes behind what DVC tracks."""

    def read(
        self, tree: FileTree, file: TrackedFile, path: str, *, pull: bool
    ) -> tuple[FileBytes, ...]:
        """Return the files at ``path``, which is ``file`` or lies in it, with their digests.

        With ``pull`` the bytes are those that the DVC remote has now, else those in the cache.
        """


class ReleaseBytes(Protocol):
    """Brings the bytes of what DVC tracks into a folder, hashed on the way."""

    def fetch(
        self, tree: FileTree, file: TrackedFile, path: str, into: Path
    ) -> tuple[FileBytes, ...]:
        """Write the files at ``path``, which is ``file`` or lies in it, below ``into``.

        A file lies there by its name, a folder's files in a folder of its name. They come by hash
        from the cache or the DVC remote, or from Git, and nothing else is fetched; what is there
        already with the right bytes stays. A file that is refused (its bytes are not those that
        ``dvc.lock`` names, or nobody has them) is not left there: its FileBytes says why
        (``refusal``). Raises PipelineError where the remote does not answer, denies access, or
        names files outside of the folder.
        """


class Reproducer(Protocol):
    """Runs a commit's pipeline once more."""

    def run(self, commit: str, inputs: Sequence[TrackedFile], *, progress: Progress) -> Snapshot:
        """Return what all its stages write, from nothing but the commit and its ``inputs``.

        Raises PipelineError where a stage fails or the inputs cannot be had.
        """


class Retrainer(Protocol):
    """Makes the commit of a retraining branch; it runs the project's code, which sees no token."""

    def build(self, order: RetrainOrder, *, progress: Progress) -> Built:
        """Run the command in a clean clone of ``order.base``, track and push data, commit.

        The commit is in this repository then, on no branch. Raises PipelineError where the command
        or the pipeline fails, ConfigError where what is to be added is not there.
        """


class Plots(Protocol):
    """Reads what DVC's files define as plots."""

    def read(self, base: FileTree | None, head: FileTree, *, pull: bool = False) -> Gallery:
        """Return the plots and pictures of two revisions, paired by DVC's ids and by paths."""


class Rescorer(Protocol):
    """Scores a base's model on the head's test set, by the project's own command."""

    def rescore(
        self, command: Rescore, base: FileTree, *, like: str, pull: bool, progress: Progress
    ) -> Table:
        """Run the command in the work tree and return the predictions that it wrote.

        ``like`` is the path of the head's predictions, whose format they have. Raises
        PipelineError where the command fails, MissingDataError where the base's files are not
        to be had.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Which run wrote a comment, and on which head; kept in it, unseen.

    Runs of one repository have growing ids; ``attempt`` counts the re-runs of one.
    """

    run_id: int | None = None
    attempt: int = 1
    head_sha: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """A pull request as the forge has it now; ``head_repository`` is None once it is deleted."""

    number: int
    head_sha: str
    head_branch: str
    head_repository: str | None
    base_branch: str
    is_open: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedComment:
    """A comment on a pull request; ``action`` is created, updated, unchanged or outdated.

    Outdated: a newer run, or one of a newer head, has written there; its comment is left alone.
    """

    url: str
    action: str


class CheckStatus(StrEnum):
    """Where a check stands."""

    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The verdict as a forge shows it beside a commit; ``summary`` is Markdown."""

    name: str
    sha: str
    status: CheckStatus
    title: str
    summary: str = ""
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedCheck:
    """``kind`` is a check run or a commit status."""

    kind: str
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedRelease:
    """A release on the forge; ``notes`` say what of it could not be brought up to date."""

    tag: str
    url: str
    notes: tuple[str, ...] = ()


class DeploymentStatus(StrEnum):
    """How far a deployment has come; an inactive one was replaced, or taken away."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeDeployment:
    """What a tag brings to an environment, which several artifacts may share.

    ``version`` is as people write it (v1.2.0), None where only a commit is deployed.
    ``description`` is a line about the status, which forges cut to their size. ``log_url`` leads
    to the run that deploys, ``environment_url`` to what is deployed.
    """

    environment: str
    artifact: str
    version: str | None
    tag: str
    sha: str
    status: DeploymentStatus
    description: str = ""
    log_url: str | None = None
    environment_url: str | None = None
    is_production: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedDeployment:
    """A deployment as the forge has it; ``kind`` is a deployment or a commit status.

    ``action`` is created, updated or unchanged. ``seconds`` is when it got its status (Unix time),
    ``creator`` who deployed, where the forge tells.
    """

    deployment: ForgeDeployment
    kind: str
    action: str
    url: str | None = None
    seconds: int | None = None
    creator: str | None = None


class ProposalState(StrEnum):
    """Where a pull request of ours stands; closed is closed without a merge."""

    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A pull request of ours, from ``branch`` of the repository itself to ``base``.

    In its text the ``marker`` line and all below it are ours; what people write above it stays.
    ``head_sha`` is what the branch names. ``auto_merge`` lets the forge merge that commit once all
    that it requires has passed.
    """

    branch: str
    base: str
    head_sha: str
    title: str
    body: str
    marker: str
    labels: tuple[str, ...] = ()
    auto_merge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedProposal:
    """A pull request as the forge has it; ``action`` is created, updated, unchanged or closed.

    ``notes`` say what of it could not be brought about (a label, the merge by itself).
    """

    number: int
    url: str
    state: ProposalState
    head_sha: str
    action: str = "unchanged"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An issue of ours, found again by the ``marker`` line in its text while it is open."""

    title: str
    body: str
    marker: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedIssue:
    """An issue as the forge has it; ``action`` is created, updated, unchanged or closed."""

    number: int
    url: str
    action: str
    notes: tuple[str, ...] = ()


_NOBODY = Writer()
_NO_FILES: Mapping[str, bytes] = {}


class Forge(Protocol):
    """Where pull requests and releases live."""

    @property
    def name(self) -> str:
        """What to call it in messages."""

    def upsert_comment(
        self,
        number: int,
        body: str,
        *,
        marker: str,
        writer: Writer = _NOBODY,
        mode: CommentMode = CommentMode.UPDATE,
        create: bool = True,
    ) -> PostedComment | None:
        """Update our comment with that ``marker`` line, or create it; leave an equal one alone.

        An older ``writer`` never replaces a newer one's. Further comments of ours with the marker
        are deleted. Without ``create`` only an existing one is updated, else None is returned.
        """

    def pull_request(self, number: int) -> PullRequest:
        """Return a pull request; UsageError where there is none of that number."""

    def find_pull_request(self, *, owner: str, branch: str, sha: str) -> PullRequest | None:
        """Return the open pull request from that owner's branch whose head is ``sha``."""

    def set_check(self, check: Check) -> PostedCheck:
        """Create or update the check of that name on that commit.

        Where check runs are not allowed, or unknown, a commit status says the same.
        """

    def store_pictures(self, pictures: Mapping[str, bytes], *, keep_days: int) -> Mapping[str, str]:
        """Store images for a comment in the forge itself; return their addresses by name.

        What is older than ``keep_days`` is removed. Raises ForgeDeniedError where the token may
        not, or the forge has no place for them.
        """

    def read_artifact(self, run_id: int, name: str, path: str, *, max_bytes: int) -> bytes:
        """Return one file out of a workflow run's artifact, read in memory.

        Raises ForgeError for what is missing, larger, or no honest archive.
        """

    def publish_release(
        self,
        tag: str,
        *,
        title: str,
        body: str,
        assets: Mapping[str, bytes] = _NO_FILES,
        prerelease: bool = False,
        latest: bool = True,
    ) -> PostedRelease:
        """Create the release of a tag with its files, or complete and update it.

        It becomes public when all of it is there; one that was cut short is found again. Files
        that are published already are left. ``latest`` lets it be shown as the newest.
        """

    def read_release_asset(self, tag: str, name: str, *, max_bytes: int) -> bytes:
        """Return a file of a published release; ForgeError where there is none, or a larger."""

    def record_tag(self, tag: str, *, commit: str, message: str) -> None:
        """Learn of a tag that was created; a forge that receives the pushes ignores it."""

    def labels_of(self, sha: str) -> tuple[str, ...]:
        """Return the labels of the merged pull requests that a commit belongs to."""

    def dispatch(self, workflow: str, *, tag: str, inputs: Mapping[str, str]) -> None:
        """Start a workflow by its file's name, as it is at that tag.

        Raises ForgeError with what is missing: a permission, the file, or its trigger.
        """

    def set_deployment(self, deployment: ForgeDeployment) -> PostedDeployment:
        """Create the deployment of that tag to that environment, or find it again; set its status.

        Its success makes inactive what the environment had of the same artifact, and of no other.
        What was replaced and is deployed anew is another deployment. A forge that knows no
        deployments gets a commit status.
        """

    def deployments(
        self, environment: str | None = None, *, limit: int
    ) -> tuple[PostedDeployment, ...]:
        """Return the deployments made last, to one environment or all, the newest first.

        Raises ForgeError where the forge keeps no list of them.
        """

    def find_proposal(self, branch: str, *, base: str) -> PostedProposal | None:
        """Return the newest pull request from a branch of the repository itself, however it ended.

        An open one comes before newer ones that are not.
        """

    def propose(self, proposal: Proposal) -> PostedProposal:
        """Open the pull request of a branch, or bring the open one up to date; never a second.

        Raises ForgeDeniedError with the permission that is missing.
        """

    def withdraw(self, branch: str, *, base: str, why: str) -> PostedProposal | None:
        """Close the open pull request of a branch, with a comment; None where there is none."""

    def upsert_issue(self, issue: Issue) -> PostedIssue:
        """Open the issue with that ``marker``, or bring the open one of ours up to date."""

    def close_issue(self, marker: str, *, why: str) -> PostedIssue | None:
        """Close our open issue with that ``marker``, with a comment; None where there is none."""


class Environments(Protocol):
    """Python environments for releases."""

    def current(self) -> Environment:
        """Return the environment that this process runs in."""

    def build(self, recorded: Environment, folder: Path, *, progress: Progress) -> Path:
        """Return the interpreter of an environment that has what was recorded, below ``folder``.

        It is made once per set of versions and then found again, and holds modelci for serving.
        Raises DeploymentError where this machine has no such Python or a package cannot be had.
        """


class ModelSigner(Protocol):
    """Signs a version's bytes."""

    @property
    def method(self) -> str:
        """By what: key, certificate or sigstore."""

    def sign(self, subject: str, files: Files) -> bytes:
        """Return a signature which says that ``subject`` is made of these files.

        Raises ConfigError where what it takes is missing or unfit, ForgeError where Sigstore does
        not answer.
        """


class SignatureReader(Protocol):
    """Says whose the signatures of a version's bytes are."""

    def read(self, signature: bytes, trusted: Sequence[TrustedSigner]) -> BytesSignature:
        """Return what a signature says, and by whom of the ``trusted`` it is.

        It is good if it is by any of them; ``ref`` is left empty. Raises ConfigError where a
        signer's key or certificate is unfit, ForgeError where Sigstore's own cannot be had.
        """


class Target(Protocol):
    """Where releases run: one release of an artifact at a time, others beside it.

    Every method can be repeated, and one that was cut short can be called again. Those that act
    raise DeploymentError.
    """

    @property
    def name(self) -> str:
        """What the configuration calls it."""

    @property
    def kind(self) -> str:
        """What kind of target it is."""

    def lock(self) -> AbstractContextManager[None]:
        """Keep others from deploying here meanwhile; TargetBusyError names who does so now."""

    def artifacts(self) -> tuple[str, ...]:
        """Return the artifacts that were ever deployed here."""

    def read(self, artifact: str) -> TargetState:
        """Return what runs, ran and is staged here."""

    def release(self, artifact: str, release_id: str) -> Release | None:
        """Return a staged release as it was staged; None where it is not."""

    def answers(self, artifact: str) -> bool | None:
        """Whether what runs answers requests now; None where that is not the target's to see."""

    def environment(self) -> Environment | None:
        """Return what is installed where releases run as is; None where nobody can tell."""

    def stage(self, release: Release, folder: Path, *, python: Path | None) -> None:
        """Put a release's ``folder`` beside the running one, whole or not at all.

        ``python`` is the interpreter to run it with (None: the target's own).
        """

    def check(self, release: Release, *, latency_ms: float | None) -> Health:
        """Load the staged release, warm it up and replay its golden requests."""

    def switch(self, running: Running) -> None:
        """Let the staged ``running.release`` answer everything, from one moment to the next.

        It ends a trial, and is remembered in the history. What ran before stays, to go back to.
        For the release that runs already only what else is known of it is remembered.
        """

    def try_out(self, release: Release, *, share: float, shadow: bool) -> None:
        """Let a staged release answer a share of the requests, or copies of them (``shadow``).

        With neither, a trial ends. DeploymentError where the target cannot divide traffic.
        """

    def observe(self, release: Release, *, seconds: float) -> Observation | None:
        """Return what the release's traffic was in the last ``seconds``; None: it is not seen."""

    def prune(self, artifact: str, *, keep: int) -> tuple[str, ...]:
        """Remove staged releases but the newest ``keep``, and never the running or previous one.

        Returns the ids of what went.
        """
