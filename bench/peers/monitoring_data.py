"""Run by ``bench/monitoring.py``: writes ``reference.parquet`` and ``window-0.parquet``.

Twenty columns, of which the window has two others: half a standard deviation in ``n0``, and half of
``c0``'s second value become its first. ``many.parquet`` repeats a window's rows, with an id that
each of two rows bears.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CHUNK = 1_000_000


def table(rows: int, seed: int, *, shifted: bool) -> pa.Table:
    """Return ten continuous columns, four of integers, five categories and a flag."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        f"n{place}": random.normal(place, 1 + place, rows) for place in range(6)
    }
    columns |= {f"m{place}": random.lognormal(8, 1, rows).round(2) for place in range(4)}
    columns |= {f"i{place}": random.integers(0, 10 ** (place + 1), rows) for place in range(4)}
    for place in range(5):
        columns[f"c{place}"] = random.integers(0, 3 * place + 2, rows)
    if shifted:
        columns["n0"] += 0.5
        columns["c0"] *= random.random(rows) < 0.5
    columns["n1"][random.random(rows) < 0.05] = np.nan
    names = {name: [f"{name}-{code}" for code in range(15)] for name in columns if name[0] == "c"}
    found = {
        name: pa.DictionaryArray.from_arrays(values, names[name]).cast(pa.string())
        if name in names
        else pa.array(values)
        for name, values in columns.items()
    }
    return pa.table({**found, "flag": random.random(rows) < 0.3})


def main() -> None:
    """Write the files; arguments are the folder, the rows of a window, and those of many."""
    folder, rows, many = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    pq.write_table(table(rows, 1, shifted=False), folder / "reference.parquet")
    pq.write_table(table(rows, 2, shifted=True), folder / "window-0.parquet")
    if not many:
        return
    chunk = table(CHUNK, 3, shifted=False).drop_columns(["flag"])
    schema = chunk.schema.append(pa.field("id", pa.string()))
    with pq.ParquetWriter(folder / "many.parquet", schema) as writer:
        for start in range(0, many, CHUNK):
            ids = pa.array(np.arange(start, start + CHUNK) % (many // 2)).cast(pa.string())
            writer.write_table(chunk.append_column("id", ids))


if __name__ == "__main__":
    main()
