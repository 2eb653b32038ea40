"""What makes a comment ours to update: a line that is the marker and nothing else."""


def mark(body: str, marker: str) -> str:
    """Return the body with the ``marker`` as one of its lines, ready to be sent.

    Names of files that are no UTF-8 reach us with surrogates, which no forge takes.
    """
    if not marker.strip() or marker != "".join(marker.splitlines()):
        raise ValueError(f"a marker is one line, not {marker!r}")
    sendable = body.encode("utf-8", "replace").decode()
    return sendable if has_marker(sendable, marker) else f"{marker}\n{sendable}"


def has_marker(body: str, marker: str) -> bool:
    """Whether a line is exactly the marker; quoted or indented, it is somebody's quotation."""
    return marker in normalize(body).split("\n")


def normalize(body: str) -> str:
    """Return the text that forges keep: editing in a browser changes line ends."""
    return body.replace("\r\n", "\n").rstrip()
