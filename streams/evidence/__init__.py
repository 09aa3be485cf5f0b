"""The packets behind an alert: fetched where they are kept, written to a folder, shown field by field.

`fetch` finds them on this machine or has `asking` ask the sensor over Kafka; `folder` writes what a third party can
check; `fields` has Wireshark say what stands where, and `show` is the command's part.
"""
