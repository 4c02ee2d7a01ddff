"""Commits to a table while others do: properties and empty appends, as often as it takes."""

import time

import pyarrow

import lake

from pyiceberg.exceptions import CommitFailedException, NoSuchTableError

# How long the table may take to appear.
PATIENCE = 60


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--commits", type=int, required=True)
    args = parser.parse_args()
    deadline = time.monotonic() + PATIENCE
    done = 0
    while done < args.commits:
        try:
            table = lake.open_table(args)
        except NoSuchTableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
            continue
        nothing = table.schema().as_arrow().empty_table()
        assert isinstance(nothing, pyarrow.Table)
        try:
            with table.transaction() as transaction:
                transaction.append(nothing)
                transaction.set_properties({"stranger.commits": str(done + 1)})
        except CommitFailedException:
            continue
        done += 1


if __name__ == "__main__":
    main()
