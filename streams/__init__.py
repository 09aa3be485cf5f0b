"""Observations through the rules, to whoever must know.

`local` is the embedded wiring: one process, from packets to alerts. `app` is the wiring on Kafka and Faust (which only
it and `faust_patch` know), `sending` what it sends, `handing` what it hands on, `worker` its life, `watchdog` its end,
`topics` and `codec` what is on Kafka. `processors` are plain functions over plain mappings, the same in every wiring;
`sinks` are where alerts go; `store` and `alert_topic` keep them; `rules_topic` is how rules travel, `replay` runs kept
observations through today's. `geo` asks who announces an address, `geobuild` makes what it asks, `operators` is what
ships; `cli` is the `lenswatch` command, the front door.
"""
