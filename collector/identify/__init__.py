"""Which device said it: evidence, weighed. What is seen *on* a device is a fingerprint, in `fingerprints/*.toml`."""
