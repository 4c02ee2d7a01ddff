"""Reads a table with PyIceberg alone. First line: what is said of the table; then a line a row."""

import json
import sys

import lake


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--no-rows", action="store_true", help="the first line only")
    args = parser.parse_args()
    table = lake.open_table(args)
    about = lake.describe(table)
    about["files"] = lake.data_files(table)
    print(json.dumps(about))
    if args.no_rows:
        return
    arrow = table.scan().to_arrow()
    kinds = {field.name: field.field_type for field in table.schema().fields}
    columns = arrow.column_names
    out = []
    for batch in arrow.to_batches():
        for values in zip(*(column.to_pylist() for column in batch.columns)):
            row = {name: lake.typed(kinds[name], value) for name, value in zip(columns, values)}
            out.append(json.dumps(row))
    sys.stdout.write("\n".join(out) + ("\n" if out else ""))


if __name__ == "__main__":
    main()
