"""Add the months that have been scored and turned out since: what a retraining pull request brings.

``modelci monitor`` calls it on the retraining branch (``monitor.retrain.cmd`` in modelci.yaml). The
scored applications lie in one folder, a file for each month, and their outcomes in the folder
``outcomes`` beside it.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import columns
import prepare
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import stage
import yaml


def source_so_far() -> Path:
    """Return what the last commit trains on; DVC brings it if it is not here."""
    shown = subprocess.run(
        ["git", "show", "HEAD:params.yaml"], check=True, capture_output=True, text=True
    )
    source = Path(yaml.safe_load(shown.stdout)["data"]["source"])
    if not source.exists():
        subprocess.run(["dvc", "pull", "--quiet", str(source)], check=True)
    return source


def labelled(scored: Path, outcomes: Path) -> pa.Table | None:
    """Return a month's applications with their outcomes, None where these are not known yet."""
    if not outcomes.exists():
        return None
    truth = pq.read_table(outcomes, columns=[columns.ID, columns.TARGET])
    return prepare.read_table(scored).join(truth, columns.ID, join_type="inner")


def months_until(current: Path) -> list[Path]:
    """Return the files of this month and of those before it, in their order."""
    return sorted(path for path in current.parent.glob("*.parquet") if path.name <= current.name)


def added_to(so_far: pa.Table, current: Path) -> pa.Table:
    """Return the labelled applications up to this month that are not among those so far."""
    outcomes = current.parent.parent / "outcomes"
    parts = [so_far.slice(0, 0)]
    for path in months_until(current):
        part = labelled(path, outcomes / path.name)
        if part is not None:
            prepare.check_columns(part)
            parts.append(prepare.cast(part).sort_by(columns.ID))
    table = pa.concat_tables(parts)
    return table.filter(pc.invert(pc.is_in(table[columns.ID], value_set=so_far[columns.ID])))


def main(argv: list[str] | None = None) -> None:
    """Write the applications so far and what came since to one Parquet file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("current", type=Path, help="the window's scored applications")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args(argv)
    so_far = prepare.cast(prepare.read_table(source_so_far()))
    added = added_to(so_far, arguments.current)
    if not added.num_rows:
        raise stage.BadInputError("there are no outcomes that the training data lack")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables([so_far, added]), arguments.output)
    print(f"{added.num_rows:,} applications more than the {so_far.num_rows:,} so far")


if __name__ == "__main__":
    stage.run(main)
