"""Writes lines of standard input to a topic with confluent-kafka: `{"key": …, "value": …}`.

Values go through Confluent's own Avro serializer with the schema of `--schema`, unless a line has
`"bytes"` instead of a value: hexadecimal digits that are written as they are. Within a value
`{"$decimal": "1.25"}` is a decimal, `{"$bytes": "00ff"}` are bytes, and `{"$float": "NaN"}` is a
number that JSON does not have.
"""

import decimal
import json
import sys

from confluent_kafka import Producer
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

import topics


# What JSON has no form for, by the one key of the object that stands for it.
FORMS = {"$decimal": decimal.Decimal, "$bytes": bytes.fromhex, "$float": float}


def formed(value):
    if len(value) == 1:
        (key,) = value
        if key in FORMS:
            return FORMS[key](value[key])
    return value


def main():
    parser = topics.arguments(__doc__)
    parser.add_argument("--schema", help="an Avro schema")
    args = parser.parse_args()
    producer = Producer({"bootstrap.servers": args.servers, "enable.idempotence": True})
    serialize = AvroSerializer(topics.registry(args), args.schema) if args.schema else None
    context = SerializationContext(args.topic, MessageField.VALUE)
    failed = []

    def told(error, _):
        if error is not None:
            failed.append(str(error))

    for line in sys.stdin:
        record = json.loads(line, object_hook=formed)
        if "bytes" in record:
            value = bytes.fromhex(record["bytes"])
        elif serialize:
            value = serialize(record["value"], context)
        else:
            value = json.dumps(record["value"]).encode()
        partition = {"partition": record["partition"]} if "partition" in record else {}
        producer.produce(args.topic, key=record.get("key"), value=value, on_delivery=told, **partition)
        producer.poll(0)
    producer.flush(60)
    if failed:
        raise SystemExit(failed[0])


if __name__ == "__main__":
    main()
