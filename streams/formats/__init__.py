"""An alert in the words of others: pure functions of the alert alone, so that every sink can speak each of them.

`cef` is ArcSight's Common Event Format, `ocsf` the Open Cybersecurity Schema Framework's Detection Finding, `stix` a
STIX 2.1 sighting, `syslog` the message around one of them (RFC 5424) and its frame on a stream (RFC 6587). An alert is
ECS already, and `ecs` makes it shorter where that is asked. `plain` makes what devices said fit to be handed on.
`docs/45-siem.md` maps every field, and a test holds that it says what these do.

They lie here and not in `rules/export`, which writes facts: what is told of an alert is what its receiver can read.
"""
