"""Where packets come from. The order is the order in which a source's name is asked.

To add one: a file here with a class that is a `source.Source` and a classmethod `opens(name) -> bool`, a line here, and
`tests/collector/capture/test_<name>.py`. Each line is the dotted name of the class.
"""

SOURCES: tuple[str, ...] = (
    "collector.capture.pcap_file.CaptureFile",
    "collector.capture.folder.CaptureFolder",
    "collector.capture.ring.Ring",
)
