"""What a certificate says, in ECS words; and that whatever bytes are sent in its place are none."""

import datetime
import hashlib
import random

import pytest

from collector.certificate import MAX_ALTERNATIVE_NAMES, MAX_CERTIFICATE_BYTES, MAX_NAME_CHARACTERS, read_certificate
from collector.observation import X509, TlsHash, TlsServer, X509Name
from tests.collector.dissectors.certificates import BEGIN, END, certificate

OFFICE = (("C", "CN"), ("ST", "ZheJiang"), ("O", "ACME"), ("OU", "DVR"), ("CN", "cam.example"))


def shown(der: bytes) -> TlsServer:
    found = read_certificate(der)
    assert found is not None
    return found


def test_a_certificate_is_told_as_ecs_names_its_parts() -> None:
    der = certificate(OFFICE, (("CN", "Acme CA"), ("O", "Acme")), ("cam.example", "192.0.2.7"), serial=0xAB01)
    assert shown(der) == TlsServer(
        subject="CN=cam.example,OU=DVR,O=ACME,ST=ZheJiang,C=CN",
        issuer="CN=Acme CA,O=Acme",
        not_before=BEGIN,
        not_after=END,
        hash=TlsHash(sha256=hashlib.sha256(der).hexdigest().upper()),
        x509=X509(
            subject=X509Name(common_name=["cam.example"], organization=["ACME"], organizational_unit=["DVR"]),
            issuer=X509Name(common_name=["Acme CA"], organization=["Acme"]),
            not_before=BEGIN,
            not_after=END,
            serial_number="AB01",
            alternative_names=["cam.example", "192.0.2.7"],
        ),
    )


def test_whatever_the_order_in_a_name_it_is_told_in_one() -> None:
    texts = {shown(certificate(order)).subject for order in (OFFICE, OFFICE[::-1], (*OFFICE[2:], *OFFICE[:2]))}
    assert texts == {"CN=cam.example,OU=DVR,O=ACME,ST=ZheJiang,C=CN"}


def test_commas_and_what_cannot_be_printed_are_escaped_and_others_have_their_numbers() -> None:
    odd = (("CN", "a\u00a0b\u202e"), ("O", "Co., Ltd."), ("emailAddress", "a@b.example"), ("2.5.4.13", "words"))
    subject = shown(certificate(odd)).subject
    assert subject == "CN=a\\xa0b\\u202e,O=Co.\\, Ltd.,emailAddress=a@b.example,2.5.4.13=words"


def test_names_are_bounded() -> None:
    long = shown(certificate([("O", "x" * 64)] * 30, alternative=[f"n{number}.example" for number in range(40)]))
    assert len(long.subject) == MAX_NAME_CHARACTERS
    assert len(long.x509.alternative_names or ()) == MAX_ALTERNATIVE_NAMES


def test_whatever_the_bytes_they_are_a_certificate_or_none() -> None:
    whole, chance = certificate(OFFICE, alternative=("cam.example",)), random.Random(7)
    assert read_certificate(b"") is None and read_certificate(bytes(MAX_CERTIFICATE_BYTES + 1)) is None
    assert [cut for cut in range(len(whole)) if read_certificate(whole[:cut]) is not None] == []
    for at in range(len(whole)):
        changed = whole[:at] + bytes([chance.randrange(256)]) + whole[at + 1 :]
        found = read_certificate(changed)
        assert found is None or isinstance(found.not_before, datetime.datetime)


def test_one_that_breaks_the_rules_is_read_without_a_word(recwarn: pytest.WarningsRecorder) -> None:
    # A serial number below one (RFC 5280 4.1.2.2): cameras have it.
    whole = certificate(OFFICE, serial=1)
    broken = whole.replace(b"\x02\x01\x01", b"\x02\x01\x00", 1)
    assert broken != whole
    found = read_certificate(broken)
    assert found is not None and found.x509.serial_number == "0"
    assert len(recwarn) == 0
