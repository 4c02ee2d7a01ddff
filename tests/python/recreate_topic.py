"""Deletes a topic and creates it again, empty, as an operator might."""

import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

import topics


def main():
    parser = topics.arguments(__doc__)
    parser.add_argument("--partitions", type=int, required=True)
    args = parser.parse_args()
    admin = AdminClient({"bootstrap.servers": args.servers})
    admin.delete_topics([args.topic])[args.topic].result(60)
    # The brokers delete in their own time; until then the name is taken.
    deadline = time.monotonic() + 60
    while True:
        try:
            admin.create_topics([NewTopic(args.topic, args.partitions, 1)])[args.topic].result(60)
            return
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    main()
