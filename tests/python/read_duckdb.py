"""Reads a table with DuckDB, in the form of `lake.answer`.

PyIceberg says where the table's current metadata lies; from there on DuckDB's own Iceberg extension
reads a table of this machine: it plans, prunes and matches columns by itself. The extension comes in
a wheel that fits one release of DuckDB, so that nothing is downloaded while a test runs.

Files elsewhere are fetched first, as they are. Their table's metadata names them by where they were,
so there DuckDB reads the Parquet files that PyIceberg lists.
"""

import os
import pathlib
import tempfile

import duckdb
import duckdb_extension_avro
import duckdb_extension_iceberg

import lake


def connect():
    db = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    # Manifests are Avro, so its reader comes first.
    for module in [duckdb_extension_avro, duckdb_extension_iceberg]:
        (file,) = pathlib.Path(module.__file__).parent.glob("extensions/*/*.duckdb_extension")
        db.load_extension(str(file))
    db.execute("SET TimeZone = 'UTC'")
    return db


def here(uri):
    """Where a file of this machine lies, else None. Java writes `file:/…`, everyone else `file:///…`."""
    return uri.removeprefix("file:").removeprefix("//") if uri.startswith("file:") else None


def fetched(table, uri, folder):
    path = os.path.join(folder, uri.rsplit("/", 1)[1])
    assert not os.path.exists(path), "files have names of their own"
    with table.io.new_input(uri).open() as remote, open(path, "wb") as file:
        file.write(remote.read())
    return path


def read(db, source, parameter, types, kinds, names, text):
    # Microseconds come out as such: Python's datetime would need a time zone package for them.
    chosen = ", ".join(
        f'epoch_us("{n}") AS "{n}"' if types[n].startswith("TIMESTAMP") else f'"{n}"' for n in names
    )
    where = f"WHERE {text}" if text else ""
    rows = db.execute(f"SELECT {chosen} FROM (SELECT * FROM {source} {where})", [parameter]).fetchall()
    return None, [{n: lake.typed(kinds[n], v) for n, v in zip(names, row)} for row in rows]


def each_file(db, files, paths):
    """Each file by itself: what the manifest says of it must be what is in it."""
    versions = set()
    by_partition = []
    for file, path in zip(files, paths):
        parquet = "FROM read_parquet(?, hive_partitioning = false)"
        columns = tuple(row[0] for row in db.execute(f"DESCRIBE SELECT * {parquet}", [path]).fetchall())
        versions.add(columns)
        symbols = "list(DISTINCT symbol)" if "symbol" in columns else "[]"
        count, found = db.execute(f"SELECT count(*), {symbols} {parquet}", [path]).fetchone()
        about = {"rows": file["rows"], "counted": count, "partition": file["partition"]}
        by_partition.append({**about, "symbols": found})
    return {"by_partition": by_partition, "versions": len(versions)}


def main():
    args = lake.reader_arguments(__doc__).parse_args()
    table = lake.open_table(args)
    files = lake.data_files(table)
    kinds = {field.name: field.field_type for field in table.schema().fields}
    names = lake.selected(args, table)
    db = connect()
    with tempfile.TemporaryDirectory(prefix="jackfield-duckdb-") as folder:
        paths = [here(f["path"]) or fetched(table, f["path"], folder) for f in files]
        metadata = here(table.metadata_location)
        if metadata is None and not files:
            lake.answer(args, {"types": {}, **each_file(db, [], [])}, lambda _: (None, []))
            return
        source = "read_parquet(?, hive_partitioning = false)" if metadata is None else "iceberg_scan(?)"
        parameter = paths if metadata is None else metadata
        described = db.execute(f"DESCRIBE SELECT * FROM {source}", [parameter]).fetchall()
        types = {row[0]: row[1] for row in described}
        about = {"types": types, **each_file(db, files, paths)}
        lake.answer(args, about, lambda text: read(db, source, parameter, types, kinds, names, text))


if __name__ == "__main__":
    main()
