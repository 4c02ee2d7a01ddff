"""Opens a table of a lake the way any reader would, and turns values into plain JSON."""

import argparse
import datetime
import decimal
import json
import math
import os
import uuid

from pyarrow.fs import AzureFileSystem
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.types import ListType, MapType, StructType, UUIDType


class OfTests(PyArrowFileIO):
    """Reads `gs://` from the S3 server that a test keeps such buckets in, and Azure's from its emulator."""

    @staticmethod
    def parse_location(location, *more):
        scheme, netloc, path = PyArrowFileIO.parse_location(location, *more)
        # A container is named with its account, and read by its own name.
        return scheme, netloc, path.replace(netloc, netloc.split("@")[0], 1)

    def _initialize_fs(self, scheme, netloc=None):
        if scheme == "gs":
            return super()._initialize_fs("s3", netloc)
        if scheme == "abfss":
            prefix = "azure."
            given = {k.removeprefix(prefix): v for k, v in self.properties.items() if k.startswith(prefix)}
            return AzureFileSystem(**given)
        return super()._initialize_fs(scheme, netloc)


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--catalog", required=True, help="the SQLite file, any SQLAlchemy URI, or a REST catalog's URL")
    parser.add_argument("--warehouse", required=True, help="a folder, or a URI")
    parser.add_argument("--name", default="local", help="the catalog's name: the lake's in the YAML file")
    parser.add_argument("--table", default="market.trades")
    parser.add_argument("--property", action="append", default=[], help="key=value, of the catalog: s3.endpoint and so on")
    return parser


def reader_arguments(description):
    """Those of the scripts that read rows, which give them as `answer` does."""
    parser = arguments(description)
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        help="`column op value`: <, <=, =, >=, > or like with a number or 'text', or `column is [not] null`",
    )
    parser.add_argument("--select", help="columns, with commas; all of them without it")
    return parser


def answer(args, about, read):
    """What is said of the table; then a line a row, or with filters a line a filter.

    `read` takes a filter, or None, and gives how many files were planned for it, or None, and rows.
    """
    print(json.dumps(about))
    if not args.filter:
        for row in read(None)[1]:
            print(json.dumps(row))
    for text in args.filter:
        files, rows = read(text)
        print(json.dumps({"filter": text, "files": files, "rows": list(rows)}))


def selected(args, table):
    """The columns to read, by name."""
    return args.select.split(",") if args.select else [field.name for field in table.schema().fields]


def uri(path, scheme):
    return path if "://" in path else scheme + os.path.abspath(path)


def open_table(args):
    return open_catalog(args).load_table(args.table)


def open_catalog(args):
    properties = dict(pair.split("=", 1) for pair in args.property)
    if args.catalog.startswith("http"):
        return RestCatalog(args.name, uri=args.catalog, **properties)
    return SqlCatalog(
        args.name,
        uri=uri(args.catalog, "sqlite:///"),
        warehouse=uri(args.warehouse, "file://"),
        **properties,
    )


def plain(value):
    """One form for all readers, in which nothing is rounded.

    Moments are microseconds since the epoch, times of day since midnight; dates are ISO's, decimals
    text, bytes hexadecimal digits, and numbers that JSON does not have their names.
    """
    if isinstance(value, datetime.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return (aware - EPOCH) // MICROSECOND
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        since = datetime.timedelta(
            hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond
        )
        return since // MICROSECOND
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.hex()
    return value


def typed(kind, value):
    """The same by its Iceberg type: what a file lacks of a struct is null, a map is its sorted pairs."""
    if value is None:
        return None
    if isinstance(kind, StructType):
        return {f.name: typed(f.field_type, value.get(f.name)) for f in kind.fields}
    if isinstance(kind, ListType):
        return [typed(kind.element_type, item) for item in value]
    if isinstance(kind, MapType):
        pairs = value.items() if isinstance(value, dict) else value
        return sorted([typed(kind.key_type, k), typed(kind.value_type, v)] for k, v in pairs)
    if isinstance(kind, UUIDType):
        return str(uuid.UUID(bytes=value) if isinstance(value, bytes) else value)
    return plain(value)


def describe(table):
    """All that is said of a table beside its rows."""
    metadata = table.metadata
    schema = table.schema()
    return {
        "location": metadata.location,
        "format_version": metadata.format_version,
        "schema": [
            {"id": f.field_id, "name": f.name, "type": str(f.field_type), "required": f.required, "doc": f.doc}
            for f in schema.fields
        ],
        "partition": [
            {"source": schema.find_column_name(f.source_id), "transform": str(f.transform), "name": f.name}
            for f in table.spec().fields
        ],
        "properties": dict(metadata.properties),
        "current_snapshot": metadata.current_snapshot_id,
        "snapshots": [
            {
                "id": s.snapshot_id,
                "parent": s.parent_snapshot_id,
                "operation": s.summary.operation.value if s.summary else None,
                "summary": dict(s.summary.additional_properties) if s.summary else {},
            }
            for s in sorted(metadata.snapshots, key=lambda s: s.sequence_number or 0)
        ],
    }


def data_files(table):
    """The data files of the current snapshot: path, rows, partition values by field name."""
    files = []
    for task in table.scan().plan_files():
        spec = table.specs()[task.file.spec_id]
        values = {f.name: plain(task.file.partition[i]) for i, f in enumerate(spec.fields)}
        groups = len(task.file.split_offsets or [])
        about = {"path": task.file.file_path, "rows": task.file.record_count, "row_groups": groups}
        files.append({**about, "partition": values})
        assert not task.delete_files, "an append-only table has no delete files"
    return files
