"""``python -m modelci.serving``: how targets start a release and look whether it is healthy."""

import argparse
import logging
import sys
from functools import partial
from pathlib import Path

from modelci.errors import ModelCIError
from modelci.serving.settings import Settings, read_settings


def main(argv: list[str] | None = None) -> int:
    """Run a command; errors become messages here."""
    asked = _parse(argv)
    try:
        code: int = asked.command(asked)
    except ModelCIError as error:
        sys.stderr.write(f"Error: {error}\n")
        if error.hint:
            sys.stderr.write(f"Hint: {error.hint}\n")
        return error.exit_code
    return code


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m modelci.serving", description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="serve a release until told to end")
    run.add_argument("--release", type=Path, required=True, metavar="DIR")
    run.add_argument("--uds", type=Path, metavar="PATH", help="listen on a socket at this path")
    run.add_argument("--host", default="127.0.0.1")
    run.add_argument("--port", type=int, default=8080)
    run.add_argument("--workers", type=_count, default=1)
    run.add_argument("--admin", type=Path, metavar="PATH", help="socket to switch models at")
    run.add_argument("--settings", type=Path, metavar="FILE", help="limits, as JSON")
    run.set_defaults(command=_run)
    check = commands.add_parser("check", help="replay a release's golden requests and end")
    check.add_argument("--release", type=Path, required=True, metavar="DIR")
    check.add_argument("--max-latency-ms", type=float, metavar="N")
    check.set_defaults(command=_check)
    return parser.parse_args(argv)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes")
    return int(text)


def _run(asked: argparse.Namespace) -> int:
    from modelci.serving.launch import Address, launch  # noqa: PLC0415 - `--help` needs no server
    from modelci.serving.source import open_release  # noqa: PLC0415

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S%z"
    )
    settings = read_settings(asked.settings) if asked.settings else Settings()
    launch(
        partial(open_release, asked.release),
        settings.with_tokens(),
        Address(host=asked.host, port=asked.port, uds=asked.uds, admin=asked.admin),
        workers=asked.workers,
    )
    return 0


def _check(asked: argparse.Namespace) -> int:
    from modelci.documents import codec  # noqa: PLC0415
    from modelci.serving.checking import check  # noqa: PLC0415

    health = check(asked.release, max_latency_ms=asked.max_latency_ms)
    sys.stdout.write(codec.encode(health))
    return 0 if health.ok else 1


if __name__ == "__main__":
    sys.exit(main())
