"""Takes a table back to the snapshot that was current at a time: what an operator does after a log
was restored that is older than the table."""

import lake


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--at-ms", type=int, required=True, help="ms since the epoch")
    args = parser.parse_args()
    table = lake.open_table(args)
    table.manage_snapshots().rollback_to_timestamp(args.at_ms).commit()


if __name__ == "__main__":
    main()
