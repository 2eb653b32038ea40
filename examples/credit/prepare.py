"""Stage ``prepare``: check the applications, and split them into training and test rows."""

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


def main(argv: list[str] | None = None) -> None:
    """Write training and test rows to two Parquet files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="CSV or Parquet")
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments = parser.parse_args(argv)
    test_share = stage.fraction(stage.read_params(arguments.params, "prepare"), "test_share")
    train, test = prepare(arguments.source, test_share)
    for part, path in ((train, arguments.train), (test, arguments.test)):
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(part, path)


if __name__ == "__main__":
    stage.run(main)
