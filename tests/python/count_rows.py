"""Counts a table of trades with DuckDB, whose files PyIceberg lists: one JSON object.

For tables of more rows than one cares to write down: by symbol how many rows there are, how many
distinct trades, and the smallest, the largest and the sum of their ids.
"""

import json

import duckdb

import lake


def main():
    args = lake.arguments(__doc__).parse_args()
    files = lake.data_files(lake.open_table(args))
    paths = [file["path"].removeprefix("file:").removeprefix("//") for file in files]
    counted = duckdb.connect().execute(
        """SELECT symbol, count(*), count(DISTINCT trade_id), min(trade_id), max(trade_id),
            sum(trade_id)::VARCHAR
        FROM read_parquet(?, hive_partitioning = false) GROUP BY symbol""",
        [paths],
    )
    names = ["rows", "distinct", "first", "last", "sum"]
    symbols = {symbol: dict(zip(names, values)) for symbol, *values in counted.fetchall()}
    partitions = {json.dumps(file["partition"]) for file in files}
    print(json.dumps({"files": len(files), "partitions": len(partitions), "symbols": symbols}))


if __name__ == "__main__":
    main()
