"""Reads a table with DuckDB, in the same form as read_table.py.

DuckDB's own `iceberg_scan` is an extension that is downloaded when first used, so it can't be had
on a machine without a way out, nor pinned in requirements.txt. PyIceberg therefore only lists the
data files of the current snapshot, and DuckDB reads those Parquet files itself: rows, types,
decimals, times and statistics (through the filtered counts) come from a reader that shares no code
with the one that wrote them. Files that are not on this machine are fetched first, as they are.
"""

import json
import os
import sys
import tempfile

import duckdb

import lake


def local(table, path, folder):
    """Where a file lies on this machine. Java writes `file:/…`, everyone else `file:///…`."""
    if path.startswith("file:"):
        return path.removeprefix("file:").removeprefix("//")
    fetched = os.path.join(folder, path.rsplit("/", 1)[1])
    assert not os.path.exists(fetched), "files have names of their own"
    with table.io.new_input(path).open() as remote, open(fetched, "wb") as file:
        file.write(remote.read())
    return fetched


def main():
    args = lake.arguments(__doc__).parse_args()
    table = lake.open_table(args)
    files = lake.data_files(table)
    names = [f.name for f in table.schema().fields]
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    if not files:
        print(json.dumps({"rows": 0, "types": {}, "by_partition": []}))
        return
    folder = tempfile.TemporaryDirectory(prefix="jackfield-duckdb-")
    paths = [local(table, f["path"], folder.name) for f in files]
    # The names come from the schema, so a missing column is an error and a foreign one is not read.
    # Microseconds come out as such: Python's datetime would need a time zone package for them.
    types = {
        row[0]: row[1]
        for row in db.execute("DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = false)", [paths]).fetchall()
    }
    chosen = ", ".join(
        f'epoch_us("{n}") AS "{n}"' if types[n].startswith("TIMESTAMP") else f'"{n}"' for n in names
    )
    rows = db.execute(f"SELECT {chosen} FROM read_parquet(?, hive_partitioning = false)", [paths]).fetchall()
    # Each file by itself: what the manifest says of it must be what is in it.
    by_partition = []
    for f, path in zip(files, paths):
        count, symbols = db.execute(
            "SELECT count(*), list(DISTINCT symbol) FROM read_parquet(?, hive_partitioning = false)", [path]
        ).fetchone()
        by_partition.append({"rows": f["rows"], "counted": count, "partition": f["partition"], "symbols": symbols})
    print(json.dumps({"rows": len(rows), "types": types, "by_partition": by_partition}))
    sys.stdout.write("".join(json.dumps(dict(zip(names, map(lake.plain, row)))) + "\n" for row in rows))


if __name__ == "__main__":
    main()
