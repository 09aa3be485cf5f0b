"""How alerts reach the sinks, whatever becomes of a receiver or of this process: the same in both shapes.

`dispatch` takes alerts and keeps them in the `outbox`, on disk; a `courier` for each sink carries them out, by the
`schedule`; `opening` makes the sinks that the settings name, and `connect` is the one way out to a web server.
"""
