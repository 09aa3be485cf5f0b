"""Which request is a step of a firmware update."""

from typing import Any, Literal

import pytest

from rules.fact import EndpointFile, FirmwareFact
from rules.firmware import FirmwareIndex, FirmwareStep

Kind = Literal["host", "path", "file", "useragent", "api"]


def fact(kind: Kind, pattern: str, **more: Any) -> FirmwareFact:
    return FirmwareFact(kind=kind, pattern=pattern, confidence="high", sources=("s",), **more)


def index_of(*facts: FirmwareFact) -> FirmwareIndex:
    return FirmwareIndex({"maker": EndpointFile(entity="maker", firmware=facts)})


def said(step: FirmwareStep | None) -> tuple[str, str] | None:
    return (step.step, step.match.pattern) if step else None


def test_a_path_counts_at_its_hosts_and_below_them_only() -> None:
    index = index_of(fact("path", r"^/soft/\d{8}/", step="download", hosts=("Files.Maker.com",)))
    assert said(index.at_host("files.maker.com", "/soft/20261012/a.bin")) == ("download", r"^/soft/\d{8}/")
    assert said(index.at_host("eu.files.maker.com", "/soft/20261012/a.bin")) is not None
    for host in ("maker.com", "xfiles.maker.com", "files.maker.com.evil.top", None, ""):
        assert index.at_host(host, "/soft/20261012/a.bin") is None
    assert index.at_host("files.maker.com", "/soft/x/a.bin") is None
    assert index.at_host("files.maker.com", None) is None


def test_a_path_of_the_zone_counts_at_a_host_that_has_paths_of_its_own() -> None:
    index = index_of(
        fact("path", "^/zone/", step="check", hosts=("maker.com",)),
        fact("path", "^/host/", step="download", hosts=("files.maker.com",)),
    )
    assert said(index.at_host("files.maker.com", "/zone/x")) == ("check", "^/zone/")
    assert said(index.at_host("files.maker.com", "/host/x")) == ("download", "^/host/")


def test_a_path_is_asked_with_its_query() -> None:
    index = index_of(fact("path", r"^/kit\.php\?cid=\d+", step="check", hosts=("maker.com",)))
    assert index.at_host("maker.com", "/kit.php?cid=7") is not None
    assert index.at_host("maker.com", "/kit.php") is None


@pytest.mark.parametrize("path", ["/digicap.dav", "/a/b/digicap.dav?x=/y", "digicap.dav"])
def test_a_file_counts_at_any_host_by_its_last_segment(path: str) -> None:
    assert said(index_of(fact("file", r"^digicap\.dav$")).anywhere(path, None)) == ("download", r"^digicap\.dav$")


@pytest.mark.parametrize(
    "path", ["/digicap.dav/", "/xdigicap.dav", "/digicap.dav.html", "/?digicap.dav", "/", "", None]
)
def test_a_file_with_another_name_does_not(path: str | None) -> None:
    assert index_of(fact("file", r"^digicap\.dav$")).anywhere(path, None) is None


def test_a_user_agent_counts_only_where_the_fact_says_which_step() -> None:
    index = index_of(fact("useragent", "^XUP/", step="check"), fact("useragent", "^XAPP$"))
    assert said(index.anywhere("/x", "XUP/1.0")) == ("check", "^XUP/")
    assert index.anywhere("/x", "XAPP") is None
    assert index.anywhere("/x", None) is None


def test_what_is_not_seen_on_the_wire_is_not_asked() -> None:
    assert index_of(fact("file", "^a$", on_wire=False)).anywhere("/a", None) is None


def test_a_download_says_more_than_a_check() -> None:
    index = index_of(fact("file", "^a", step="check"), fact("file", r"\.bin$", step="download"))
    assert said(index.anywhere("/a.bin", None)) == ("download", r"\.bin$")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"(?i)^update_\d+$", "UPDATE_7"),
        (r"^(a)-\1$", "a-a"),
        (r"^(?P<x>b)-(?P=x)$", "b-b"),
        (r"^c$|^d\.img$", "d.img"),
        (r"^[|(]e$", "(e"),
        (r"^\(f\)$", "(f)"),
        (r"g\d$", "long-g7"),
    ],
)
def test_each_pattern_means_among_others_what_it_means_alone(pattern: str, text: str) -> None:
    others = [r"(?i)^update_\d+$", r"^(a)-\1$", r"^(?P<x>b)-(?P=x)$", r"^c$|^d\.img$", r"^[|(]e$", r"^\(f\)$", r"g\d$"]
    index = index_of(*(fact("file", other) for other in others))
    assert said(index.anywhere(f"/{text}", None)) == ("download", pattern)
    assert index.anywhere("/update", None) is None
    assert index.anywhere("/A-A", None) is None


def test_a_step_says_whose_firmware_by_which_fact() -> None:
    step = index_of(fact("file", "^a$", note="n")).anywhere("/a", None)
    assert step is not None
    match = step.match
    assert (match.entity, match.role, match.match, match.confidence, match.sources, match.note) == (
        "maker", "firmware", "file", "high", ("s",), "n",
    )  # fmt: skip


def test_files_that_are_remembered_are_few_and_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rules.firmware.MAX_KNOWN_FILES", 4)
    index = index_of(fact("file", r"^fw\d+\.dav$"))
    for _ in range(2):
        for number in range(20):
            assert said(index.anywhere(f"/a/fw{number}.dav", None)) == ("download", r"^fw\d+\.dav$")
            assert index.anywhere(f"/a/fw{number}.davx", None) is None
    assert index.anywhere("/" + "x" * 100, None) is None
    assert len(index._known) <= 4 and all(len(name) < 100 for name in index._known)
