"""Shows a table to people: how many rows it has, where they are, and the last few."""

import lake


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--last", type=int, default=5)
    args = parser.parse_args()
    table = lake.open_table(args)
    arrow = table.scan().to_arrow()
    snapshots = len(table.metadata.snapshots)
    print(f"{arrow.num_rows:,} rows in {snapshots} snapshot{'s' if snapshots != 1 else ''}")
    rows = {}
    for task in table.scan().plan_files():
        spec = table.specs()[task.file.spec_id]
        where = spec.partition_to_path(task.file.partition, table.schema())
        rows[where] = rows.get(where, 0) + task.file.record_count
    for where, count in sorted(rows.items()):
        print(f"  {count:>9,}  {where}")
    if "trade_time" in arrow.column_names:
        arrow = arrow.sort_by("trade_time")
    print("  " + "  ".join(arrow.column_names))
    for row in arrow.slice(max(0, arrow.num_rows - args.last)).to_pylist():
        print("  " + "  ".join(str(value) for value in row.values()))


if __name__ == "__main__":
    main()
