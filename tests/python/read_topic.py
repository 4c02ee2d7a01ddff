"""Reads a topic from its beginning to its end with confluent-kafka, committed records only.

A line a record: partition, offset, timestamp, key, headers, value. Values are read by Confluent's
own deserializer (avro), as JSON text (json), or as they lie (bytes).
"""

import json
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition, OFFSET_BEGINNING
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

import lake
import topics


def decoder(args):
    if args.format == "avro":
        deserializer = AvroDeserializer(topics.registry(args))
        context = SerializationContext(args.topic, MessageField.VALUE)
        return lambda value: deserializer(value, context)
    if args.format == "json":
        return lambda value: None if value is None else json.loads(value)
    return topics.text


def plain(value):
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return lake.plain(value)


def main():
    parser = topics.arguments(__doc__)
    parser.add_argument("--format", choices=["avro", "json", "bytes"], default="avro")
    args = parser.parse_args()
    decode = decoder(args)
    consumer = Consumer(
        {
            "bootstrap.servers": args.servers,
            "group.id": "read-topic",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    known = consumer.list_topics(args.topic, timeout=30).topics[args.topic]
    if known.error:
        raise KafkaException(known.error)
    consumer.assign([TopicPartition(args.topic, p, OFFSET_BEGINNING) for p in known.partitions])
    left = set(known.partitions)
    while left:
        message = consumer.poll(60)
        if message is None:
            raise SystemExit("nothing came for a minute")
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            left.discard(message.partition())
            continue
        record = {
            "partition": message.partition(),
            "offset": message.offset(),
            "timestamp": message.timestamp()[1],
            "key": topics.text(message.key()),
            "headers": {name: topics.text(value) for name, value in message.headers() or []},
            "value": plain(decode(message.value())),
        }
        sys.stdout.write(json.dumps(record) + "\n")
    consumer.close()


if __name__ == "__main__":
    main()
