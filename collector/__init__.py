"""Packets in, observations out.

A packet's way: `capture` (where packets come from) → `decode` (headers off: PacketBatch) → `flows` (which packets
belong together, and which flows are still read) → `reading` and `reassembly` (bytes in order) → `dissectors` (what
the payload says) → `identify` (which device said it) → `reporting` (an Observation) → `publish` (where it goes).
`evidence` keeps the packets behind an observation for a while; `digests` takes the SHA-256 of bodies that may be
firmware; `containers` and `pushes` know what such a body begins with, and who is given one from inside. `pipeline` ties
them; `observation` is the vocabulary that everybody else may import; `ledger` counts what was let go.
"""
