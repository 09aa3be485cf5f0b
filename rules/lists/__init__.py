"""Official lists as files: each reader yields the entries of one publisher's format, and counts what it saw.

To add one: a file here with a `reader.Reader`, a line here, and `tests/rules/lists/test_<name>.py`. Each line is the
dotted name of the `Reader`. A reader opens nothing but its file: no network, no entities, nothing fetched.
"""

READERS: tuple[str, ...] = (
    "rules.lists.ofac.READER",
    "rules.lists.csl.READER",
    "rules.lists.dod1260h.READER",
    "rules.lists.fcc.READER",
)
