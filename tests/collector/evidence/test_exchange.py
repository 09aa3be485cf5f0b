"""Question and answer come back as they were; what is none is Malformed, whatever the bytes."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import Malformed
from collector.evidence.exchange import (
    EXPIRED,
    FOUND,
    MAX_ANSWER_BYTES,
    MAX_ASKED,
    MAX_QUESTION_BYTES,
    STATES,
    Answer,
    Question,
    read_answer,
    read_question,
    write_answer,
    write_question,
)

ID = "0123456789abcdef" * 2
QUESTION = Question(id=ID, sensor="gate", observations=[ID, "f" * 32])


def test_a_question_comes_back() -> None:
    assert read_question(write_question(QUESTION)) == QUESTION


@pytest.mark.parametrize("state", STATES)
def test_an_answer_comes_back(state: str) -> None:
    answer = Answer(question=ID, state=state, missing=[ID, "f" * 32], left=7, exhibit=b"packets")
    headers, value = write_answer(answer)
    assert read_answer(headers, value) == answer
    assert read_answer(*write_answer(Answer(question=ID, state=EXPIRED))) == Answer(question=ID, state=EXPIRED)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "short"}, {"sensor": ""}, {"sensor": "x" * 300}, {"observations": []}, {"observations": ["../../etc"]},
        {"observations": [ID] * (MAX_ASKED + 1)}, {"observations": None}, {"id": 7},
    ],
)  # fmt: skip
def test_a_question_that_is_none_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        read_question(msgspec.json.encode(msgspec.to_builtins(QUESTION) | change))


@given(st.one_of(st.none(), st.binary(max_size=200), st.just(b"[" * 10_000), st.just(bytes(MAX_QUESTION_BYTES + 1))))
def test_no_bytes_raise_anything_else_of_a_question(value: bytes | None) -> None:
    with pytest.raises(Malformed):
        read_question(value)


NAMES = st.sampled_from(["schema", "question", "state", "missing", "left", "x"])
VALUES = st.one_of(st.none(), st.binary(max_size=12), st.sampled_from([b"1", b"found"]))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.one_of(st.none(), st.binary(max_size=50)))
def test_no_bytes_raise_anything_else_of_an_answer(
    headers: list[tuple[str, bytes | None]], value: bytes | None
) -> None:
    with contextlib.suppress(Malformed):
        assert read_answer(headers, value).state in STATES


def test_an_answer_that_is_too_large_is_refused() -> None:
    headers, _ = write_answer(Answer(question=ID, state=FOUND))
    with pytest.raises(Malformed, match="are allowed"):
        read_answer(headers, bytes(MAX_ANSWER_BYTES + 1))
    with pytest.raises(Malformed):
        read_answer(None, b"")
