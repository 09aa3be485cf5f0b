"""One dissector under atheris (libFuzzer): any bytes, wherever cut, must be facts, not yet, or Malformed.

    python tests/fuzz/target.py DOTTED.NAME [libFuzzer options] CORPUS

The first byte of an input says the port and the side, the next two how the rest is cut. What comes out must go into
JSON.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["collector"], enable_loader_override=False):
    import msgspec

    from collector.dissectors.dissector import Dissector, Fact
    from collector.errors import Malformed
    from tests.collector.dissectors.quic_packets import initial
    from tests.fuzz.ports import PORTS

MAX_PIECES = 64
MAX_FACTS = 4_096
"""More than so many facts of so few bytes would be a leak."""


def parts_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Direction and bytes of each piece: `data` cut where its second and third byte say, the sides in turn or not."""
    side, turns, rest = data[0] & 1, data[2] & 8, data[3:]
    # Many tiny pieces would be most of an input's time.
    size = max(1, data[1] | (data[2] & 7) << 8, len(rest) // MAX_PIECES)
    for number, at in enumerate(range(0, len(rest), size)):
        yield side ^ (number & 1 if turns else 0), rest[at : at + size]


def try_all(dissector: Dissector, data: bytes) -> None:
    """One input. AssertionError, or whatever else escapes, is a find."""
    if len(data) < 4:
        return
    port, facts = PORTS[(data[0] >> 1) % len(PORTS)], []
    assert dissector.recognises(data[3:], port, data[0] & 1) in (True, False, None)
    try:
        if dissector.begin is not None:
            dissection = dissector.begin()
            for side, piece in parts_of(data):
                if dissection.wants[side]:
                    facts += dissection.feed(side, piece)
        elif dissector.converse is not None:
            conversation = dissector.converse()
            for side, piece in parts_of(data):
                if conversation.wants[side]:
                    # Behind QUIC's encryption lie frames, which no mutation of a packet would ever reach.
                    sealed = initial(piece, size=20) if dissector.name == "quic" and data[2] & 0x80 else piece
                    facts += conversation.read(side, sealed)
        elif dissector.read_datagram is not None:
            facts += dissector.read_datagram(data[3:], data[0] & 1)
    except Malformed as error:
        assert "\n" not in str(error)
    assert len(facts) <= MAX_FACTS
    for fact in facts:
        encode(fact)


def encode(fact: Fact) -> None:
    """What an observation would hold of a fact, as JSON."""
    if fact.finish is not None:
        fact.finish()
    document = (
        fact.name,
        fact.action,
        fact.dns,
        fact.tls,
        fact.offer,
        fact.url,
        fact.http,
        fact.user_agent,
        fact.announced,
    )
    msgspec.json.encode(document)


def main() -> None:
    """Hand the dissector that the first argument names to libFuzzer."""
    module, _, attribute = sys.argv.pop(1).rpartition(".")
    with atheris.instrument_imports(include=["collector"], enable_loader_override=False):
        dissector = getattr(importlib.import_module(module), attribute)
    atheris.Setup(sys.argv, lambda data: try_all(dissector, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
