"""Where observations go.

To add one: a file here with a class that is a `publisher.Publisher`, a line here, and
`tests/collector/publish/test_<name>.py`. Each line is the dotted name of the class.
"""

PUBLISHERS: tuple[str, ...] = ("collector.publish.jsonl.JsonLines", "collector.publish.kafka.KafkaPublisher")
