"""Reads a table with DuckDB where its files have several schemas, in the same form as read_table.py.

As in read_duckdb.py PyIceberg lists the data files. DuckDB reads each by itself; its columns are
found by the field ids that DuckDB sees in the file, and what a file lacks is null.
"""

import json
import sys

import duckdb

import lake


def main():
    args = lake.arguments(__doc__).parse_args()
    table = lake.open_table(args)
    fields = table.schema().fields
    db = duckdb.connect()
    out = []
    versions = set()
    for file in lake.data_files(table):
        path = file["path"].removeprefix("file://")
        found = db.execute("SELECT field_id, name FROM parquet_schema(?)", [path]).fetchall()
        names = {field_id: name for field_id, name in found if field_id is not None}
        rows = db.execute("SELECT * FROM read_parquet(?, hive_partitioning = false)", [path])
        columns = [column[0] for column in rows.description]
        versions.add(tuple(columns))
        for values in rows.fetchall():
            row = dict(zip(columns, values))
            out.append({f.name: lake.typed(f.field_type, row.get(names.get(f.field_id))) for f in fields})
    print(json.dumps({"versions": len(versions)}))
    sys.stdout.write("".join(json.dumps(row) + "\n" for row in out))


if __name__ == "__main__":
    main()
