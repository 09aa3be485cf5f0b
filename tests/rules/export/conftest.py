"""The packs that every format is tried with: small and odd, and all that is shipped."""

import dataclasses
import datetime
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rules.fact import EndpointName, NetworkAddress
from rules.factbook import Facts
from rules.indicator import Pack, Wanted, gather
from rules.match import RuleSet

DAY = datetime.date(2026, 11, 25)
NETWORKS = ("198.51.100.0/24", "198.51.100.7/32", "203.0.113.5/32", "2001:db8:1::/48", "2001:db8::1/128")


@pytest.fixture
def odd(facts: Facts) -> Facts:
    """The small facts with more networks, one within another, and words that formats must quote."""
    acme = facts.endpoints["acme"]
    networks = tuple(
        NetworkAddress(network=text, role="relay", confidence="medium", sources=("paper",)) for text in NETWORKS
    )
    quoted = EndpointName(
        name=r"^it's-\d{2}\.acme\.example$",
        match="regex",
        under=("acme.example",),
        role="push",
        confidence="high",
        sources=("paper",),
        note='a "quoted"; note\nof two lines: \\ é',
    )
    acme = msgspec.structs.replace(acme, network=networks, endpoint=(*acme.endpoint, quoted))
    entities = facts.entities | {"acme": msgspec.structs.replace(facts.entities["acme"], name='Acme "Cam"; Co.')}
    return dataclasses.replace(facts, endpoints=facts.endpoints | {"acme": acme}, entities=entities)


@pytest.fixture
def make_pack(odd: Facts) -> Callable[..., Pack]:
    """The small pack; what is wanted, and whether it acts, can be changed."""

    def make(block: bool = False, **wanted: Any) -> Pack:
        return Pack("d" * 64, DAY, gather(odd, DAY, Wanted(**wanted)), block)

    return make


@pytest.fixture(scope="session")
def shipped_pack(shipped: RuleSet) -> Pack:
    """All that is shipped."""
    return Pack(shipped.digest, DAY, gather(shipped.facts, DAY, Wanted()))


@pytest.fixture
def consumer(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program on a file with a text; `{}` in the command stands for the file."""

    def call(text: str, *command: str, name: str = "pack") -> subprocess.CompletedProcess[str]:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        program = shutil.which(command[0], path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin")
        assert program, f"{command[0]} is not installed: type 'make consumers'"
        words = [program, *(str(file) if word == "{}" else word for word in command[1:])]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    return call
