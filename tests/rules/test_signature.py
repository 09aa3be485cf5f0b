"""A signature holds for the files that were signed, by a key that is trusted, and for nothing else."""

import datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from rules.pack import digest_of
from rules.signature import (
    FORM,
    MAX_VERSION,
    NO_TRUST,
    SignatureError,
    Trust,
    default_version,
    key_id,
    read_signature,
    sign,
)

AT = datetime.datetime(2026, 11, 25, 19, 40, tzinfo=datetime.UTC)
FILES = {"facts/sources.toml": b"a = 1\n", "detections/x.yml": b"title: x\n"}
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TRUST = Trust({key_id(KEY.public_key()): KEY.public_key()}, required=True)
SIGNED = sign(FILES, 7, AT, KEY)


def test_what_was_signed_holds_and_says_version_time_and_key() -> None:
    said = TRUST.check("pack", FILES, SIGNED)
    assert said == (7, digest_of(FILES), 2, AT, key_id(KEY.public_key()))
    assert said is not None and said.words() == f"version 7, 2 files, signed 2026-11-25 19:40 UTC by key {said.key}"


def test_the_signature_is_ed25519_over_the_lines_as_they_stand() -> None:
    import base64

    lines = SIGNED.decode().splitlines(keepends=True)
    assert lines[0] == f"{FORM}\n" and lines[2] == f"digest sha256:{digest_of(FILES)}\n" and len(lines) == 7
    KEY.public_key().verify(base64.b64decode(lines[6]), "".join(lines[:6]).encode())


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (FILES | {"facts/sources.toml": b"a = 2\n"}, "was altered after it was signed: "),
        (FILES | {"facts/more.toml": b""}, r"was altered after it was signed \(2 files then, 3 now\): "),
        ({"facts/sources.toml": FILES["facts/sources.toml"]}, r"\(2 files then, 1 now\)"),
        ({f"0/{name}": content for name, content in FILES.items()}, "was altered after it was signed: "),
    ],
)
def test_any_other_files_are_refused_in_one_line(files: dict[str, bytes], words: str) -> None:
    with pytest.raises(SignatureError, match=f"^pack: .*{words}") as caught:
        TRUST.check("pack", files, SIGNED)
    assert "\n" not in str(caught.value)


def test_a_key_that_is_not_trusted_is_named_with_those_that_are() -> None:
    other = Ed25519PrivateKey.generate()
    with pytest.raises(SignatureError) as caught:
        TRUST.check("pack", FILES, sign(FILES, 7, AT, other))
    assert key_id(other.public_key()) in str(caught.value) and key_id(KEY.public_key()) in str(caught.value)


def test_one_who_claims_the_key_of_another_is_found_out() -> None:
    forged = sign(FILES, 8, AT, Ed25519PrivateKey.generate()).decode().splitlines(keepends=True)
    forged[5] = f"key {key_id(KEY.public_key())}\n"
    with pytest.raises(SignatureError, match="its signature does not hold"):
        TRUST.check("pack", FILES, "".join(forged).encode())


def test_no_byte_of_a_signature_can_be_changed_cut_or_added() -> None:
    for place in range(len(SIGNED)):
        for broken in (SIGNED[:place], SIGNED[:place] + bytes([SIGNED[place] ^ 1]) + SIGNED[place + 1 :]):
            with pytest.raises(SignatureError):
                TRUST.check("pack", FILES, broken)
    for longer in (SIGNED + b"\n", b"\n" + SIGNED, SIGNED.replace(b"\n", b"\r\n"), SIGNED * 2):
        with pytest.raises(SignatureError, match="is none of this form"):
            TRUST.check("pack", FILES, longer)


@given(st.binary(max_size=400))
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(SignatureError):
        read_signature("pack", junk)


def test_without_a_signature_a_pack_is_taken_only_where_none_is_required() -> None:
    assert Trust(TRUST.keys).check("pack", FILES, None) is None
    with pytest.raises(SignatureError, match=r"is not signed, and \[rules\] require_signed"):
        TRUST.check("pack", FILES, None)


def test_where_none_is_required_one_that_does_not_hold_is_still_refused() -> None:
    with pytest.raises(SignatureError, match="altered"):
        Trust(TRUST.keys).check("pack", {"facts/x": b""}, SIGNED)


def test_nobody_is_trusted_unless_named() -> None:
    assert not NO_TRUST and TRUST


def test_versions_rise_with_the_clock_and_have_an_end() -> None:
    assert default_version(AT) == 20261125194000 < default_version(AT + datetime.timedelta(seconds=1))
    assert read_signature("pack", sign(FILES, MAX_VERSION, AT, KEY))[0].version == MAX_VERSION
    with pytest.raises(SignatureError):
        read_signature("pack", sign(FILES, MAX_VERSION + 1, AT, KEY))
