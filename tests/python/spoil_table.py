"""Makes a table that no topic fits into, under the name of one that a sink wants; or takes it away."""

import lake

from pyiceberg.schema import Schema
from pyiceberg.types import IntegerType, NestedField


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--mend", action="store_true", help="take it away")
    args = parser.parse_args()
    catalog = lake.open_catalog(args)
    if args.mend:
        catalog.drop_table(args.table)
        return
    catalog.create_namespace_if_not_exists(args.table.split(".")[0])
    catalog.create_table(args.table, Schema(NestedField(1, "symbol", IntegerType(), required=True)))


if __name__ == "__main__":
    main()
