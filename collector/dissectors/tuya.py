"""Tuya's announcement of a device on the link (UDP 6666 plain, 6667 and 7000 encrypted with a key that is public).

The frame is that of Tuya's own embedded SDK (sdk/include/lan_protocol.h) and of ntop/nDPI (tuya_lp.c): 00 00 55 aa,
sequence, command, length, big-endian; JSON, or its AES-128 form; a checksum, and 00 00 aa 55. The key of the
announcement is the MD5 of a word that every client knows (jasonacox/tinytuya, tinytuya/core/const.py); version 3.5
has frames that begin with 00 00 66 99 and AES-GCM with the same key (tinytuya/core/message_helper.py).
"""

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Malformed, Truncated
from collector.observation import Announced
from collector.texts import read_object, text_of

KEY = bytes.fromhex("6c1ec8e2bb9bb59ab50b0daf649b410a")
MAX_BYTES = 2_048
_OLD, _OLD_END = b"\0\0\x55\xaa", b"\0\0\xaa\x55"
_NEW, _NEW_END = b"\0\0\x66\x99", b"\0\0\x99\x66"
_OLD_HEADER_BYTES, _OLD_TAIL_BYTES = 16, 8
_NEW_HEADER_BYTES, _NONCE_BYTES, _TAG_BYTES = 18, 12, 16
_BLOCK_BYTES = 16


def recognises(first: bytes, port: int, direction: int) -> bool:
    """A frame's first and last four bytes, and a length that fits."""
    if first.startswith(_OLD):
        return first.endswith(_OLD_END) and len(first) >= _OLD_HEADER_BYTES + _OLD_TAIL_BYTES
    return first.startswith(_NEW) and first.endswith(_NEW_END) and len(first) > _NEW_HEADER_BYTES + _NONCE_BYTES


def read_datagram(payload: bytes, direction: int) -> list[Fact]:
    """One frame. Truncated when its length runs past the end; Malformed when it begins as none."""
    payload = payload[:MAX_BYTES]
    if payload.startswith(_NEW):
        command, body = _read_new(payload)
    elif payload.startswith(_OLD):
        command, body = _read_old(payload)
    else:
        raise Malformed("a frame of Tuya's does not begin with its four bytes")
    document = read_object(body) if body else None
    said = Announced(
        identifier=text_of(document, "gwId") or text_of(document, "devId"),
        ip=text_of(document, "ip"),
        model=text_of(document, "productKey"),
        firmware=text_of(document, "version"),
    )
    return [
        Fact(
            "tuya",
            backward=direction == FROM_SERVER,
            action=f"command {command}",
            announced=said if said != Announced() else None,
        )
    ]


def _read_old(payload: bytes) -> tuple[int, bytes]:
    """Command and JSON of a frame of the versions up to 3.4; the JSON is empty when it cannot be opened."""
    if len(payload) < _OLD_HEADER_BYTES + _OLD_TAIL_BYTES:
        raise Truncated("a frame of Tuya's ends before its tail")
    command, size = int.from_bytes(payload[8:12], "big"), int.from_bytes(payload[12:16], "big")
    end = _OLD_HEADER_BYTES + size - _OLD_TAIL_BYTES
    if not _OLD_HEADER_BYTES <= end <= len(payload) - _OLD_TAIL_BYTES:
        raise Truncated(f"a frame of Tuya's of {size} bytes does not fit its datagram")
    body = payload[_OLD_HEADER_BYTES:end]
    # A device's own frames have a return code of four bytes before the JSON.
    for start in (0, 4):
        part = body[start:]
        if part.startswith(b"{"):
            return command, part
        if part and not len(part) % _BLOCK_BYTES:
            opened = _open_blocks(part)
            if opened.startswith(b"{"):
                return command, opened
    return command, b""


def _open_blocks(data: bytes) -> bytes:
    """AES-128 in ECB mode with the public key, PKCS 7 padding taken off."""
    # Imported by the first who meets an encrypted frame: it takes longer to load than this module.
    from cryptography.hazmat.primitives.ciphers import Cipher, modes
    from cryptography.hazmat.primitives.ciphers.algorithms import AES

    plain = Cipher(AES(KEY), modes.ECB()).decryptor().update(data)
    padding = plain[-1]
    return plain[:-padding] if 0 < padding <= _BLOCK_BYTES else plain


def _read_new(payload: bytes) -> tuple[int, bytes]:
    """Command and JSON of a frame of version 3.5; the JSON is empty when it cannot be opened."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if len(payload) < _NEW_HEADER_BYTES:
        raise Truncated("a frame of Tuya's ends before its header does")
    command, size = int.from_bytes(payload[10:14], "big"), int.from_bytes(payload[14:18], "big")
    end = _NEW_HEADER_BYTES + size
    if size < _NONCE_BYTES + _TAG_BYTES or end > len(payload) - len(_NEW_END):
        raise Truncated(f"a frame of Tuya's of {size} bytes does not fit its datagram")
    nonce = payload[_NEW_HEADER_BYTES : _NEW_HEADER_BYTES + _NONCE_BYTES]
    try:
        plain = AESGCM(KEY).decrypt(
            nonce, payload[_NEW_HEADER_BYTES + _NONCE_BYTES : end], payload[4:_NEW_HEADER_BYTES]
        )
    except InvalidTag:
        return command, b""
    return command, plain[plain.find(b"{") :] if b"{" in plain[:5] else b""


DISSECTOR = Dissector(name="tuya", recognises=recognises, read_datagram=read_datagram, starts=b"\0")
