"""Opens a table of a lake the way any reader would, and turns values into plain JSON."""

import argparse
import datetime
import decimal
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
    """Times as microseconds since the epoch, decimals as text: nothing is rounded on the way."""
    if isinstance(value, datetime.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return (aware - EPOCH) // MICROSECOND
    if isinstance(value, datetime.date):
        return value.isoformat()
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
        files.append({"path": task.file.file_path, "rows": task.file.record_count, "partition": values})
        assert not task.delete_files, "an append-only table has no delete files"
    return files
