"""Artifacts that a stranger's run uploaded: where they come from, and what is in them."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.archives import make_zip
from tests.fakes.github_server import REPOSITORY, TOKEN, FakeGitHub, Fault, Reply, serve
from tests.fakes.progress import RecordedProgress

from modelci.adapters.forge.archive import MAX_ENTRIES, read_member
from modelci.adapters.forge.github import HEADERS, GitHubForge
from modelci.adapters.forge.github_artifacts import MAX_ARCHIVE_BYTES
from modelci.adapters.forge.github_replies import judge
from modelci.adapters.forge.http import ForgeClient
from modelci.errors import ForgeDeniedError, ForgeError

RUN = 512
REPORT = b'{"schema": "modelci.report/1"}'
HONEST = make_zip({"report.json": REPORT})
MEGABYTE = 1024 * 1024


@dataclass
class Time:
    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with serve(FakeGitHub()) as server:
        yield server


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def forge(github: FakeGitHub, time: Time) -> GitHubForge:
    client = ForgeClient(
        "GitHub",
        github.api_url,
        TOKEN,
        judge=judge,
        progress=RecordedProgress(),
        headers=HEADERS,
        sleep=time.sleep,
        clock=lambda: time.now,
    )
    return GitHubForge(client, REPOSITORY)


def read(forge: GitHubForge, *, max_bytes: int = MEGABYTE) -> bytes:
    return forge.read_artifact(RUN, "report", "report.json", max_bytes=max_bytes)


# Which artifact, and where it comes from


def test_the_file_takes_three_requests_and_the_store_gets_no_token(
    github: FakeGitHub, forge: GitHubForge
) -> None:
    github.add_artifact(RUN, "report", HONEST)
    assert read(forge) == REPORT
    assert github.asked() == [
        f"GET /actions/runs/{RUN}/artifacts",
        "GET /actions/artifacts/1001/zip",
        "GET /store/1001",
    ]
    first, second, store = (one.headers for one in github.requests)
    assert first["authorization"] == second["authorization"] == f"Bearer {TOKEN}"
    assert store["host"].startswith("localhost:")
    assert "authorization" not in store
    assert TOKEN not in repr(store)


def test_of_several_attempts_the_newest_is_read(github: FakeGitHub, forge: GitHubForge) -> None:
    github.add_artifact(RUN, "report", make_zip({"report.json": b"old"}))
    github.add_artifact(RUN, "report", HONEST)
    github.add_artifact(RUN, "report", b"gone", expired=True)
    github.add_artifact(RUN, "other", b"")
    github.add_artifact(RUN + 1, "report", b"")
    assert read(forge) == REPORT


@pytest.mark.parametrize("expired", [True, False])
def test_a_missing_artifact_says_whether_it_expired(
    github: FakeGitHub, forge: GitHubForge, *, expired: bool
) -> None:
    if expired:
        github.add_artifact(RUN, "report", HONEST, expired=True)
    with pytest.raises(ForgeError, match="has no artifact 'report'") as caught:
        read(forge)
    assert ("expired" in str(caught.value)) is expired
    assert "upload-artifact" in (caught.value.hint or "")


def test_an_artifact_that_says_it_is_huge_is_not_fetched(
    github: FakeGitHub, forge: GitHubForge
) -> None:
    github.add_artifact(RUN, "report", HONEST, size_in_bytes=100 * MEGABYTE)
    with pytest.raises(ForgeError, match="larger than"):
        read(forge)
    assert len(github.requests) == 1


def test_an_artifact_of_100_mb_that_says_it_is_small_is_cut_off(
    github: FakeGitHub, forge: GitHubForge
) -> None:
    github.add_artifact(RUN, "report", bytes(100 * MEGABYTE), size_in_bytes=1)
    with pytest.raises(ForgeError, match=f"larger than {MAX_ARCHIVE_BYTES:,} bytes"):
        read(forge)


def test_a_denial_names_its_permission(github: FakeGitHub, forge: GitHubForge) -> None:
    github.fail("GET", "/artifacts", 403, "Resource not accessible by integration")
    with pytest.raises(ForgeDeniedError) as caught:
        read(forge)
    assert "`actions: read`" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "location",
    [
        "http://store.example/report.zip",
        "http://192.0.2.1/report.zip",
        "ftp://store.example/report.zip",
        "file:///etc/passwd",
        "https://user:secret@store.example/report.zip",
        "https://",
        "http://host:port",
    ],
)
def test_a_download_follows_to_safe_addresses_only(
    github: FakeGitHub, forge: GitHubForge, location: str
) -> None:
    github.add_artifact(RUN, "report", HONEST, location=location)
    with pytest.raises(ForgeError, match=r"not safe|no URL|Invalid URL") as caught:
        read(forge)
    assert "secret" not in str(caught.value)


def test_a_host_that_wants_the_token_gets_none(github: FakeGitHub, forge: GitHubForge) -> None:
    with serve(FakeGitHub()) as other:
        greedy = Reply(status=401, headers={"WWW-Authenticate": "Bearer"}, body={})
        other.add_artifact(RUN, "report", HONEST)
        other.requests.clear()
        other.faults.append(Fault(method="GET", path="/store/1001", reply=greedy, times=9))
        github.add_artifact(RUN, "report", HONEST, location=f"{other.url}/store/1001")
        with pytest.raises(
            ForgeError, match=r"127\.0\.0\.1, where the forge keeps .* 401"
        ) as caught:
            read(forge)
        assert not isinstance(caught.value, ForgeDeniedError)
        (asked,) = other.requests
        assert TOKEN not in repr(asked)
        assert "authorization" not in asked.headers


def test_a_circle_of_redirects_ends(github: FakeGitHub, forge: GitHubForge) -> None:
    here = f"{github.api_url}/repos/{REPOSITORY}/actions/artifacts/1001/zip"
    github.add_artifact(RUN, "report", HONEST, location=here)
    with pytest.raises(ForgeError, match="circles"):
        read(forge)
    assert len(github.requests) == 5


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("path", ["/zip", "/store/1001"])
def test_a_store_or_a_forge_that_is_ill_is_asked_again(
    github: FakeGitHub, forge: GitHubForge, time: Time, status: int, path: str
) -> None:
    github.add_artifact(RUN, "report", HONEST)
    github.fail("GET", path, status)
    assert read(forge) == REPORT
    assert len(time.slept) == 1


def test_a_connection_that_is_cut_is_made_again(
    github: FakeGitHub, forge: GitHubForge, time: Time
) -> None:
    github.add_artifact(RUN, "report", HONEST)
    github.hang_up("GET", "/store/1001")
    assert read(forge) == REPORT
    assert time.slept == [1]


def test_a_store_that_stays_ill_is_given_up(github: FakeGitHub, forge: GitHubForge) -> None:
    github.add_artifact(RUN, "report", HONEST)
    github.fail("GET", "/store/1001", 503, times=99)
    with pytest.raises(ForgeError, match="localhost, where the forge keeps the file, answered 503"):
        read(forge)


def test_a_file_packed_once_more_by_the_store_is_not_unpacked(
    github: FakeGitHub, forge: GitHubForge
) -> None:
    github.add_artifact(RUN, "report", zlib.compress(HONEST))
    with pytest.raises(ForgeError, match="no sound ZIP"):
        read(forge)


# What is in it


def refuse(archive: bytes, *, max_bytes: int = MEGABYTE) -> str:
    with pytest.raises(ForgeError) as caught:
        read_member(archive, "report.json", max_bytes=max_bytes)
    return str(caught.value)


def patch(archive: bytes, old: bytes, new: bytes) -> bytes:
    assert old in archive
    return archive.replace(old, new)


def pack(*entries: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    """Return an archive of the entries as they are, duplicates too."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, data in entries:
            archive.writestr(entry, data, compress_type=zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def test_an_honest_archive_is_read_with_its_other_files() -> None:
    archive = make_zip({"a.png": b"\x89PNG", "d/report.json": b"x", "report.json": REPORT})
    assert read_member(archive, "report.json", max_bytes=len(REPORT)) == REPORT
    assert read_member(archive, "d/report.json", max_bytes=1) == b"x"


def test_a_bomb_is_refused_by_what_it_says() -> None:
    bomb = make_zip({"report.json": bytes(100 * MEGABYTE)})
    assert len(bomb) < MEGABYTE
    assert "larger than 1,048,576 bytes" in refuse(bomb)


def test_a_bomb_that_says_it_is_small_is_never_unpacked_whole() -> None:
    size = 100 * MEGABYTE
    bomb = make_zip({"report.json": bytes(size)})
    lying = patch(bomb, struct.pack("<L", size), struct.pack("<L", 10))
    assert "no sound ZIP" in refuse(lying)


def test_a_file_that_says_it_is_larger_than_it_is_is_refused() -> None:
    size = struct.pack("<L", len(REPORT))
    lying = patch(HONEST, size, struct.pack("<L", len(REPORT) + 5))
    assert "says 35 bytes of 'report.json', which has 30" in refuse(lying)


def test_a_file_of_exactly_the_limit_is_read_and_one_byte_more_is_not() -> None:
    archive = make_zip({"report.json": b"x" * 100})
    assert len(read_member(archive, "report.json", max_bytes=100)) == 100
    assert "larger than 99" in refuse(archive, max_bytes=99)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("twice", ["report.json", "other.json"])
def test_a_name_that_is_there_twice_is_refused(twice: str) -> None:
    archive = pack(("report.json", REPORT), (twice, b"1"), (twice, b"2"))
    assert "lists a file twice" in refuse(archive)


@pytest.mark.parametrize(
    "name",
    [
        "../report.json",
        "/report.json",
        "./report.json",
        "REPORT.JSON",
        "report.json/",
        "x/report.json",
    ],
)
def test_only_exactly_the_wanted_path_is_read(name: str) -> None:
    assert "has no file 'report.json'" in refuse(pack((zipfile.ZipInfo(name), REPORT)))


@pytest.mark.parametrize("name", ["../report.json", "/etc/passwd", "d/../report.json", ".."])
def test_a_path_that_leads_elsewhere_is_only_a_name(name: str) -> None:
    """Nothing is written to disk: asked for by that very name it is its bytes, no more."""
    archive = pack((zipfile.ZipInfo(name), b"inside"))
    assert read_member(archive, name, max_bytes=9) == b"inside"


def test_a_name_with_a_nul_behind_it_is_another_name() -> None:
    archive = pack((zipfile.ZipInfo("report.json_evil"), REPORT))
    assert "has no file" in refuse(patch(archive, b"report.json_evil", b"report.json\0evil"))


@pytest.mark.parametrize("kind", [0o120777, 0o010644, 0o060644, 0o040755])
def test_a_link_or_a_device_is_refused(kind: int) -> None:
    entry = zipfile.ZipInfo("report.json")
    entry.create_system = 3
    entry.external_attr = kind << 16
    assert "not as a plain file" in refuse(pack((entry, b"/etc/passwd")))


def test_an_encrypted_file_is_refused() -> None:
    locked = bytearray(HONEST)
    for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(start) + offset] |= 1
    assert "encrypted" in refuse(bytes(locked))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_without_bounds_is_refused(method: int) -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("report.json", REPORT)
    assert "compressed in a way" in refuse(buffer.getvalue())


def test_an_archive_in_an_archive_is_not_looked_into() -> None:
    assert "has no file" in refuse(make_zip({"report.zip": HONEST}))


def test_very_many_entries_are_refused_before_they_are_listed() -> None:
    many = make_zip({f"{index}": b"" for index in range(MAX_ENTRIES)} | {"report.json": REPORT})
    assert "lists more than 1,000 files" in refuse(many)
    fewer = make_zip(
        {f"{index}": b"" for index in range(MAX_ENTRIES - 1)} | {"report.json": REPORT}
    )
    assert read_member(fewer, "report.json", max_bytes=99) == REPORT


def test_a_damaged_file_is_refused() -> None:
    data = pack((zipfile.ZipInfo("report.json"), b"x" * 1_000))
    at = data.index(b"report.json") + len(b"report.json")
    assert "no sound ZIP" in refuse(data[:at] + b"\xff\xff" + data[at + 2 :])


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"PK", b"PK\x05\x06" + bytes(18), HONEST[:-10], HONEST[10:], b"\x1f\x8b" * 9],
)
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    refuse(data)


@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(HONEST) - 1), st.integers(0, 255)), min_size=1, max_size=8
    ),
    cut=st.integers(0, len(HONEST)),
)
def test_no_damage_is_a_crash_or_a_lie(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(HONEST)
    for at, value in changes:
        data[at] = value
    for archive in (bytes(data), bytes(data[:cut])):
        try:
            found = read_member(archive, "report.json", max_bytes=len(REPORT))
        except ForgeError:
            continue
        assert found == REPORT
