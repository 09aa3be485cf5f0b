"""QUIC Initial packets as a client sends them, sealed here by the letter of RFC 9001 and RFC 9369."""

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES

VERSION_1, VERSION_2, DRAFT_29 = 1, 0x6B3343CF, 0xFF00001D
FIRST_SALT, SECOND_SALT = "38762cf7f55934b34d179ae6a4c80cadccbb7f0a", "0dede3def700a6db819381be6e269dcbf9bd2ed9"
SALT_22, SALT_23 = "7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a", "c3eef712c72ebb5a11a7d2432bb46365bef9f502"
SALT_29 = "afbfec289993d24c9e9786f19c6111e04390a899"
DRAFTS = {22: SALT_22, **dict.fromkeys(range(23, 29), SALT_23), **dict.fromkeys(range(29, 33), SALT_29),
          **dict.fromkeys((33, 34), FIRST_SALT)}  # fmt: skip
"""draft-ietf-quic-tls, section 5.2 of each."""
KNOWN_TO_ALL = {
    VERSION_1: FIRST_SALT,
    VERSION_2: SECOND_SALT,
    **{0xFF000000 + draft: salt for draft, salt in DRAFTS.items()},
    0xFACEB001: SALT_22,
    0xFACEB002: SALT_23,
    0xFACEB00E: SALT_23,
}
"""Versions that tshark reads too; the last three are Facebook's."""
SALTS = {**KNOWN_TO_ALL, 0x1A2A3A4A: FIRST_SALT}
FIRST_ID = bytes.fromhex("8394c8f03e515708")
"""The connection id of RFC 9001's and RFC 9369's worked examples."""


def number(value: int) -> bytes:
    """A variable-length integer (RFC 9000 16)."""
    for power, size in enumerate((1, 2, 4, 8)):
        if value < 1 << (8 * size - 2):
            return (value | power << (8 * size - 2)).to_bytes(size, "big")
    raise ValueError(value)


def crypto(offset: int, data: bytes) -> bytes:
    return b"\6" + number(offset) + number(len(data)) + data


def expand(secret: bytes, label: str, size: int) -> bytes:
    name = b"tls13 " + label.encode()
    info = size.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
    return hmac.digest(secret, info + b"\1", hashlib.sha256)[:size]


def keys(version: int, connection_id: bytes, label: str = "client in") -> tuple[bytes, bytes, bytes]:
    """Key, IV and header protection key."""
    secret = expand(hmac.digest(bytes.fromhex(SALTS[version]), connection_id, hashlib.sha256), label, 32)
    word = "quicv2" if version == VERSION_2 else "quic"
    return expand(secret, f"{word} key", 16), expand(secret, f"{word} iv", 12), expand(secret, f"{word} hp", 16)


def initial(
    frames: bytes, version: int = VERSION_1, destination: bytes = FIRST_ID, key_id: bytes | None = None,
    packet_number: int = 0, token: bytes = b"", label: str = "client in", size: int = 1_162,
) -> bytes:  # fmt: skip
    """An Initial packet, padded to at least `size` bytes of payload; `key_id` is the id that its keys are made of."""
    key, iv, protection = keys(version, destination if key_id is None else key_id, label)
    plain = frames.ljust(size, b"\0")
    kind = 0xD3 if version == VERSION_2 else 0xC3
    head = bytes([kind]) + version.to_bytes(4, "big") + bytes([len(destination)]) + destination + b"\0"
    head += number(len(token)) + token + (4 + len(plain) + 16 | 0x4000).to_bytes(2, "big")
    wire_number = packet_number.to_bytes(4, "big")
    nonce = (int.from_bytes(iv, "big") ^ packet_number).to_bytes(12, "big")
    sealed = AESGCM(key).encrypt(nonce, plain, head + wire_number)
    mask = Cipher(AES(protection), modes.ECB()).encryptor().update(sealed[:16])
    first = bytes([head[0] ^ mask[0] & 0x0F])
    return first + head[1:] + bytes(a ^ b for a, b in zip(wire_number, mask[1:5], strict=True)) + sealed


def retry(version: int = VERSION_1, source: bytes = b"\x1b\x03\x6a\x11") -> bytes:
    kind = 0xC0 if version == VERSION_2 else 0xF0
    return bytes([kind]) + version.to_bytes(4, "big") + b"\0" + bytes([len(source)]) + source + b"token" + bytes(16)
