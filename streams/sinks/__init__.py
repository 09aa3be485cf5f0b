"""Where alerts go.

To add one: a file here with a class that is a `sink.Sink`, a line here, and `tests/streams/sinks/test_<name>.py`. Each
line is the dotted name of the class. `streams.dispatch` keeps, orders and retries; a sink delivers, or says why not.
"""

SINKS: tuple[str, ...] = (
    "streams.sinks.webhook.SignedWebhook",
    "streams.sinks.alertmanager.Alertmanager",
    "streams.sinks.jsonl.AlertLines",
    "streams.sinks.splunk.Splunk",
    "streams.sinks.elastic.Elastic",
    "streams.sinks.chat.Chat",
    "streams.sinks.syslog.Syslog",
    "streams.sinks.taxii.Taxii",
    "streams.sinks.stix.StixBundles",
)
