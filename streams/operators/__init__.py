"""The AS numbers that `rules/facts/networks/` names, as a MaxMind DB file: what is known of addresses out of the box.

Made by `lenswatch geo build --asn @ip-location-db/asn --known --out streams/operators`; the same data gives the same
bytes. Whose data it is, and under which licence, ATTRIBUTION.txt says.
"""
