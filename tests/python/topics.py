"""What the scripts for topics share: where the broker and the registry are, and values as plain JSON."""

import argparse

from confluent_kafka.schema_registry import SchemaRegistryClient


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--servers", required=True)
    parser.add_argument("--registry", help="its URL; without one there are no schemas")
    parser.add_argument("--topic", required=True)
    return parser


def registry(args):
    return SchemaRegistryClient({"url": args.registry})


def text(value):
    """Bytes as text where they are some, else as hexadecimal digits."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()
