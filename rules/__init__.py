"""Observations in, alerts out; no bytes, no Kafka, no clock.

  fact.py           what a facts file may say            factbook.py    facts/**/*.toml → Facts
  endpoints.py      names and addresses → company, role  networks.py    addresses → longest network
  firmware.py       paths, files, user agents → step     lookalike.py   names that resemble a maker's
  listing.py        which listings apply on a day
  detection.py      Sigma rule → Detection               predicate.py   its condition → a function; the fields
  load.py           folders → RuleSet                    match.py       RuleSet: observation → alerts
  alert.py          the product                          check.py       each detection's own cases
  errors.py         one line for whoever wrote the file
  facts/            data with sources                    detections/    one Sigma rule a file

The doors are `rules.alert`, `rules.load`, `rules.match`, `rules.check` and `rules.errors`.
To add a detection: one file below `detections/`, with its own cases; the file is the registration.
"""
