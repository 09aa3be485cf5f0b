"""Certificates that are made, not copied: the same bytes each time, for the key and all dates are given."""

import datetime
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

BEGIN = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2044, 1, 1, tzinfo=datetime.UTC)
OIDS = {
    "CN": "2.5.4.3", "OU": "2.5.4.11", "O": "2.5.4.10", "L": "2.5.4.7", "ST": "2.5.4.8", "C": "2.5.4.6",
    "serialNumber": "2.5.4.5", "emailAddress": "1.2.840.113549.1.9.1",
}  # fmt: skip
Parts = Sequence[tuple[str, str]]


def name(parts: Parts) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.ObjectIdentifier(OIDS.get(short, short)), text) for short, text in parts])


def certificate(subject: Parts, issuer: Parts | None = None, alternative: Sequence[str] = (), serial: int = 1) -> bytes:
    """A certificate in DER, signed by itself or, with an `issuer`, as if by somebody else."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer or subject))
        .not_valid_before(BEGIN)
        .not_valid_after(END)
        .serial_number(serial)
        .public_key(key.public_key())
    )
    if alternative:
        builder = builder.add_extension(x509.SubjectAlternativeName([general(each) for each in alternative]), False)
    return builder.sign(key, None).public_bytes(Encoding.DER)


def general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
