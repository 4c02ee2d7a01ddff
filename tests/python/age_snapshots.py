"""Makes what a table has been until now older, past its catalog: as if all of it had happened then.

The catalog's database is asked, whatever is in front of it. Writes the files of the snapshots' lists
of manifests, as JSON.
"""

import json
import uuid

import sqlalchemy

import lake
import list_files

HOUR_MS = 3_600_000

MOVE = """UPDATE iceberg_tables
SET metadata_location = :after, previous_metadata_location = :before
WHERE metadata_location = :before"""


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--hours", type=int, required=True)
    args = parser.parse_args()
    catalog = lake.open_catalog(args)
    table = catalog.load_table(args.table)
    before = table.metadata_location
    with table.io.new_input(before).open() as file:
        document = json.loads(file.read())
    by = args.hours * HOUR_MS
    document["last-updated-ms"] -= by
    for key in ["snapshots", "snapshot-log", "metadata-log"]:
        for entry in document.get(key) or []:
            entry["timestamp-ms"] -= by
    log = document.get("metadata-log") or []
    log.append({"timestamp-ms": document["last-updated-ms"], "metadata-file": before})
    document["metadata-log"] = log
    folder, name = before.rsplit("/", 1)
    after = f"{folder}/{int(name.split('-')[0]) + 1:05}-{uuid.uuid4()}.metadata.json"
    with table.io.new_output(after).create() as file:
        file.write(json.dumps(document).encode())
    with catalog.engine.begin() as database:
        moved = database.execute(sqlalchemy.text(MOVE), {"before": before, "after": after})
        assert moved.rowcount == 1, "the table has moved on meanwhile"
    print(json.dumps([list_files.local(it.manifest_list) for it in table.metadata.snapshots]))


if __name__ == "__main__":
    main()
