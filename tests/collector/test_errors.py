"""Errors for people are one line; bytes that break their protocol are no such error."""

import pickle

import pytest

from collector.errors import CaptureError, LenswatchError, Malformed, SettingsError, Truncated


def test_a_capture_error_names_file_byte_and_reason() -> None:
    error = CaptureError("a.pcap", 24, "cut off")
    assert str(error) == "a.pcap: byte 24: cut off"
    assert (error.name, error.offset, error.reason) == ("a.pcap", 24, "cut off")


def test_one_except_clause_takes_every_error_for_people() -> None:
    for error in (CaptureError("a", 0, "b"), SettingsError("a: b")):
        assert isinstance(error, LenswatchError) and not isinstance(error, ValueError)


def test_truncated_bytes_are_malformed_bytes_and_no_error_for_people() -> None:
    with pytest.raises(Malformed) as caught:
        raise Truncated("early")
    assert isinstance(caught.value, ValueError) and not isinstance(caught.value, LenswatchError)


def test_malformed_can_be_kept_and_told_later() -> None:
    assert str(pickle.loads(pickle.dumps(Malformed("a label of type 2")))) == "a label of type 2"
