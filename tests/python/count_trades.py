"""Prints how many rows a table of trades has, and how many distinct trades they are."""

import lake


def main():
    args = lake.arguments(__doc__).parse_args()
    arrow = lake.open_table(args).scan(selected_fields=("symbol", "trade_id")).to_arrow()
    distinct = arrow.group_by(["symbol", "trade_id"]).aggregate([])
    print(arrow.num_rows, distinct.num_rows)


if __name__ == "__main__":
    main()
