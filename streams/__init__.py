"""Observations through the rules, to whoever must know.

`local` is the embedded wiring: one process, from packets to alerts. `processors` are plain functions over plain
mappings, the same in every wiring; `store` keeps the alerts; `cli` is the `lenswatch` command, the front door.
"""
