"""Tells a topic's partitions and settings as one JSON object."""

import json

from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

import topics


def main():
    args = topics.arguments(__doc__).parse_args()
    admin = AdminClient({"bootstrap.servers": args.servers})
    partitions = admin.list_topics(args.topic, timeout=30).topics[args.topic].partitions
    resource = ConfigResource(ResourceType.TOPIC, args.topic)
    configs = admin.describe_configs([resource])[resource].result(30)
    told = {name: entry.value for name, entry in configs.items()}
    print(json.dumps({"partitions": len(partitions), "configs": told}))


if __name__ == "__main__":
    main()
