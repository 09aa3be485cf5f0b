"""The ports that the first byte of an input can name."""

PORTS = (
    53, 67, 80, 123, 443, 554, 1900, 3478, 3702, 5050, 5353, 5355, 8800, 34_567, 34_569, 37_020, 37_777, 37_810,
)  # fmt: skip
