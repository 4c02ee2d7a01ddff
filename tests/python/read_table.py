"""Reads a table with PyIceberg alone, in the form of `lake.answer`."""

import json

import lake

from pyiceberg.expressions import AlwaysTrue


def read(table, text, columns):
    scan = table.scan(row_filter=text or AlwaysTrue(), selected_fields=tuple(columns))
    files = len(list(scan.plan_files()))
    kinds = {field.name: field.field_type for field in table.schema().fields}
    rows = []
    for batch in scan.to_arrow().to_batches():
        names = batch.schema.names
        for values in zip(*(column.to_pylist() for column in batch.columns)):
            rows.append({name: lake.typed(kinds[name], value) for name, value in zip(names, values)})
    return files, rows


def main():
    parser = lake.reader_arguments(__doc__)
    parser.add_argument("--no-rows", action="store_true", help="the first line only")
    args = parser.parse_args()
    table = lake.open_table(args)
    about = lake.describe(table)
    about["files"] = lake.data_files(table)
    if args.no_rows:
        print(json.dumps(about))
        return
    columns = lake.selected(args, table)
    lake.answer(args, about, lambda text: read(table, text, columns))


if __name__ == "__main__":
    main()
