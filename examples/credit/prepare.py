"""Stage ``prepare``: check the applications, and split them into training, test and fresh rows."""

from __future__ import annotations

import argparse
from collections import Counter
from hashlib import blake2b
from pathlib import Path

import columns
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import stage

READERS = {".csv": pcsv.read_csv, ".parquet": pq.read_table}


def read_table(path: Path) -> pa.Table:
    """Read a CSV or Parquet file, told apart by its suffix."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise stage.BadInputError(
            f"{path}: unknown format {path.suffix!r}; point data.source at a "
            f"{' or '.join(READERS)} file"
        )
    try:
        return reader(path)
    except FileNotFoundError as error:
        raise stage.BadInputError(f"{path} does not exist; set data.source") from error
    except (OSError, pa.ArrowInvalid) as error:
        raise stage.BadInputError(f"cannot read {path}: {stage.one_line(error)}") from error


def check_columns(table: pa.Table) -> None:
    """Refuse a table that lacks a column; columns that are too many are dropped later."""
    if columns.TARGET not in table.column_names:
        raise stage.BadInputError(
            f"no target column {columns.TARGET!r}: add it, 1 for a default and 0 for none"
        )
    missing = [name for name in columns.COLUMNS if name not in table.column_names]
    if missing:
        raise stage.BadInputError(
            f"missing columns: {', '.join(missing)}; add them, or change examples/credit/columns.py"
        )
    repeated = [name for name, count in Counter(table.column_names).items() if count > 1]
    if repeated:
        raise stage.BadInputError(f"columns named twice: {', '.join(repeated)}; keep one of each")


def schema() -> pa.Schema:
    """Give every column its type; a month stays text, as ``2025-01``."""
    kinds = dict.fromkeys(columns.COLUMNS, pa.string())
    kinds |= dict.fromkeys(columns.NUMERIC, pa.float64())
    return pa.schema(list((kinds | {columns.TARGET: pa.int64()}).items()))


def cast(table: pa.Table) -> pa.Table:
    """Bring each column to its type, or say which one cannot be brought there."""
    arrays = []
    for field in schema():
        try:
            arrays.append(table[field.name].cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise stage.BadInputError(
                f"column {field.name!r} does not hold {field.type} values: {stage.one_line(error)}"
            ) from error
    return pa.table(arrays, schema=schema())


def check_values(table: pa.Table) -> None:
    """Refuse rows without an id of their own, and targets that are not both 0 and 1."""
    ids = table[columns.ID]
    if ids.null_count or len(pc.unique(ids)) < table.num_rows:
        raise stage.BadInputError(f"{columns.ID!r} must be set and unique: drop repeated rows")
    found = sorted(set(table[columns.TARGET].to_pylist()), key=str)
    if not set(found) <= {0, 1}:
        raise stage.BadInputError(
            f"target {columns.TARGET!r} holds {found[:5]}: write 1 for a default and 0 for none"
        )
    if len(found) < 2:
        raise stage.BadInputError(
            f"target {columns.TARGET!r} holds only {found}: both classes are needed"
        )


def test_mask(ids: list[str], share: float) -> list[bool]:
    """Choose the test rows by a hash of the id, so that a row never changes sides.

    A random split would deal all rows anew with every one that is added, and metrics
    of two revisions would come from different test sets.
    """
    limit = int(share * 2**64)
    return [
        int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") < limit
        for name in ids
    ]


def split(table: pa.Table, test_share: float) -> tuple[pa.Table, pa.Table]:
    """Split checked applications into training and test rows, in the order of the input."""
    mask = pa.array(test_mask(table[columns.ID].to_pylist(), test_share))
    train, test = table.filter(pc.invert(mask)), table.filter(mask)
    for name, part in (("training", train), ("test", test)):
        if len(pc.unique(part[columns.TARGET])) < 2:
            raise stage.BadInputError(
                f"the {name} part ({part.num_rows} rows) holds one class only: add rows, "
                "or change prepare.test_share"
            )
    return train, test


def prepare(source: Path, test_share: float) -> tuple[pa.Table, pa.Table]:
    """Read, check, type and split the applications."""
    table = read_table(source)
    check_columns(table)
    table = cast(table)
    check_values(table)
    return split(table, test_share)


def hold_out(test: pa.Table, until: str) -> tuple[pa.Table, pa.Table]:
    """Return the test rows up to a month, and those of the newest one.

    So the old test set stays the same when months are added, and what is newest is judged apart.
    Without later months the newest is one of the old ones.
    """
    months = test[columns.MONTH]
    old, fresh = (
        test.filter(mask)
        for mask in (pc.less_equal(months, until), pc.equal(months, pc.max(months)))
    )
    for name, part in (("up to prepare.test_until", old), ("of the newest month", fresh)):
        if len(pc.unique(part[columns.TARGET])) < 2:
            raise stage.BadInputError(
                f"the test rows {name} ({part.num_rows}) hold one class only: add rows, "
                "or change prepare.test_until"
            )
    return old, fresh


def main(argv: list[str] | None = None) -> None:
    """Write training, test and fresh rows to three Parquet files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="CSV or Parquet")
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("fresh", type=Path, help="the newest month's test rows")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments = parser.parse_args(argv)
    params = stage.read_params(arguments.params, "prepare")
    train, test = prepare(arguments.source, stage.fraction(params, "test_share"))
    old, fresh = hold_out(test, stage.month(params, "test_until"))
    parts = {arguments.train: train, arguments.test: old, arguments.fresh: fresh}
    for path, part in parts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(part, path)


if __name__ == "__main__":
    stage.run(main)
