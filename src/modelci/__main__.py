"""``python -m modelci`` and the console script."""

import gc


def main() -> None:
    """Run the command line in a process of its own."""
    # A report makes hundreds of thousands of values that live until it is written, and next to no
    # cycles. Looking for those every 700 values takes a fifth of the time of a large report, and
    # 4 ms while what every command needs is imported: hence not before.
    gc.set_threshold(100_000, 20, 100)
    from modelci import cli  # noqa: PLC0415

    try:
        cli.main()
    finally:
        # The process ends: looking through all it has loaded for cycles would take a sixth of a
        # second after DVC. What is to be done at the end (atexit, flushing) is done.
        gc.freeze()


if __name__ == "__main__":
    main()
