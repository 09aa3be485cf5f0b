"""The office that `lenswatch demo` watches.

`office.pcap` is written by `tests/captures/make_office.py` (nothing in it was recorded anywhere).
`office.expected.json` says what was put in: the devices, whom each called, and the findings that must come out, no
more and no fewer.
"""
