"""The certificate that a TLS server shows (X.509, RFC 5280) → what ECS says of it.

Anybody may send one. What cannot be read is none; names are cleaned as all text from the wire is.
"""

import functools
import hashlib
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from collector.observation import X509, TlsHash, TlsServer, X509Name
from collector.texts import clean

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, Name

MAX_CERTIFICATE_BYTES: Final = 16_384
"""A device's own has one or two thousand."""
MAX_NAME_CHARACTERS: Final = 512
MAX_ALTERNATIVE_NAMES: Final = 16
MAX_KNOWN: Final = 256
"""A device shows the same one again and again."""
_ORDER: Final = ("CN", "OU", "O", "L", "ST", "C")
"""The order of a distinguished name's parts, whatever order they were sent in: rapid7/recog's, so that one pattern is
enough for each."""
_SHORT: Final = {
    "2.5.4.3": "CN", "2.5.4.11": "OU", "2.5.4.10": "O", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.6": "C",
    "2.5.4.5": "serialNumber", "1.2.840.113549.1.9.1": "emailAddress", "0.9.2342.19200300.100.1.25": "DC",
}  # fmt: skip


@functools.lru_cache(MAX_KNOWN)
def read_certificate(der: bytes) -> TlsServer | None:
    """What a certificate in DER says; None where it is none that can be read."""
    if len(der) > MAX_CERTIFICATE_BYTES:
        return None
    # Slow to load, and asked for only where a device of ours shows one.
    from cryptography.x509 import load_der_x509_certificate

    with warnings.catch_warnings():
        # It warns of certificates that break RFC 5280, as those of cameras do.
        warnings.simplefilter("ignore")
        try:
            return _tell(load_der_x509_certificate(der), der)
        except Exception:
            # What it raises for bytes that anybody may send, it does not promise.
            return None


def _tell(certificate: "Certificate", der: bytes) -> TlsServer:
    subject, issuer = _parts(certificate.subject), _parts(certificate.issuer)
    before, after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return TlsServer(
        subject=_distinguished(subject),
        issuer=_distinguished(issuer),
        not_before=before,
        not_after=after,
        hash=TlsHash(sha256=hashlib.sha256(der).hexdigest().upper()),
        x509=X509(
            subject=_name(subject),
            issuer=_name(issuer),
            not_before=before,
            not_after=after,
            serial_number=f"{certificate.serial_number:X}",
            alternative_names=_alternative_names(certificate) or None,
        ),
    )


def _parts(name: "Name") -> list[tuple[str, str]]:
    """Short names of the attributes (RFC 4514 3, or dotted numbers) and their values, in the order of `_ORDER`."""
    rank = {short: number for number, short in enumerate(_ORDER)}
    found = []
    for attribute in name:
        value = attribute.value if isinstance(attribute.value, str) else attribute.value.hex()
        oid = attribute.oid.dotted_string
        if (text := clean(value)) is not None:
            found.append((_SHORT.get(oid, oid), text))
    return sorted(found, key=lambda part: rank.get(part[0], len(rank)))


def _distinguished(parts: Iterable[tuple[str, str]]) -> str:
    """A distinguished name as text (RFC 4514 2), without a blank behind its commas."""
    return ",".join(f"{short}={text.replace(',', chr(92) + ',')}" for short, text in parts)[:MAX_NAME_CHARACTERS]


def _name(parts: Iterable[tuple[str, str]]) -> X509Name:
    values: dict[str, list[str]] = {}
    for short, text in parts:
        values.setdefault(short, []).append(text)
    return X509Name(common_name=values.get("CN"), organization=values.get("O"), organizational_unit=values.get("OU"))


def _alternative_names(certificate: "Certificate") -> list[str]:
    from cryptography.x509 import DNSName, ExtensionNotFound, IPAddress, SubjectAlternativeName

    try:
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return []
    found = [clean(str(each.value)) for each in names if isinstance(each, DNSName | IPAddress)]
    return [each for each in found if each is not None][:MAX_ALTERNATIVE_NAMES]
