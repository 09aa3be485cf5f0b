"""A detection of one's own, as small as one can be."""

RULE = """
title: Camera called a test name
id: 5f0a7a57-6f0e-4e9e-8a3c-0d6a7c2f4b10
level: low
description: A camera called a name of a test.
logsource: {product: lenswatch}
detection:
  camera: {destination.domain: name.example}
  condition: camera
lenswatch:
  fold: name
  message: "{device} called {destination}."
  example: {destination: {ip: 192.0.2.1, domain: name.example}}
  cases:
    - {name: one, fires: true}
    - {name: another, fires: false, change: {destination.domain: other.example}}
"""
