"""Shows a table to people: how many rows it has, where they are, and the last few."""

import lake


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--last", type=int, default=5)
    args = parser.parse_args()
    table = lake.open_table(args)
    arrow = table.scan().to_arrow()
    snapshots = len(table.metadata.snapshots)
    print(f"{arrow.num_rows:,} rows in {snapshots} snapshots")
    for f in sorted(lake.data_files(table), key=lambda f: str(f["partition"])):
        where = "/".join(f"{name}={value}" for name, value in f["partition"].items())
        print(f"  {f['rows']:>9,}  {where}")
    if "trade_time" in arrow.column_names:
        arrow = arrow.sort_by("trade_time")
    print("  " + "  ".join(arrow.column_names))
    for row in arrow.slice(max(0, arrow.num_rows - args.last)).to_pylist():
        print("  " + "  ".join(str(value) for value in row.values()))


if __name__ == "__main__":
    main()
