"""Wireshark's dissectors, through tshark and pyshark: the other engine (`engine`), and what we do not dissect ourselves
(`evidence`, for `collector/deep.py`). `tshark` runs it, `layers` reads what it says, `facts` makes ours of it.
"""
