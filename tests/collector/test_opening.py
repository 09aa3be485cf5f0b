"""What the command line says goes over the file, and only one source may go on for ever."""

import os
import socket
from pathlib import Path

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.deep import DeepReader
from collector.errors import LenswatchError, SettingsError
from collector.gathered import Gathered
from collector.opening import (
    crew_of,
    may_go_on,
    open_sources,
    pipeline_for,
    step_down,
    with_deep,
    with_options,
)
from collector.settings import CaptureSettings, CollectorSettings, DeepSettings
from collector.watched import nothing
from collector.workers import Crew
from tests.collector.dissectors.messages import QUERY
from tests.collector.frames import BEGIN_NS, block_of, pcap, udp_frame
from tests.collector.wireshark.answering import needs_tshark


@pytest.fixture
def capture(tmp_path: Path) -> str:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([(BEGIN_NS, b"x")]))
    return str(path)


def test_options_say_more_than_the_file_and_a_wrong_one_is_refused() -> None:
    settings = CaptureSettings(filter="udp", workers=2)
    assert with_options(settings, None, None, None, None) == settings
    changed = with_options(settings, "tcp", 3, "nobody", True)
    assert (changed.filter, changed.workers, changed.user, changed.follow) == ("tcp", 3, "nobody", True)
    with pytest.raises(SettingsError, match="workers is not 1 to"):
        with_options(settings, None, 0, None, None)


def test_nothing_that_ends_can_be_named_behind_a_source_that_does_not_end(capture: str) -> None:
    with pytest.raises(SettingsError, match="does not end"):
        open_sources([capture, "-"], CaptureSettings(follow=True))


def test_what_does_not_end_is_read_at_once_behind_what_does(capture: str) -> None:
    first, second = open_sources(["-", capture, capture], CaptureSettings(follow=True))
    assert isinstance(first, CaptureFile) and isinstance(second, Gathered) and len(second.sources) == 2
    assert not any(isinstance(each, Gathered) for each in open_sources([capture, capture], CaptureSettings()))


def test_who_reads_the_long_tail_is_there_only_when_it_is_asked_for() -> None:
    settings, deep = CollectorSettings(), DeepSettings(enabled=True, cpu_share=0.5)
    assert pipeline_for(CaptureSettings(), settings, ()).strangers is None
    strangers = pipeline_for(CaptureSettings(workers=2), settings, (), deep=deep).strangers
    assert isinstance(strangers, DeepReader) and strangers.settings.cpu_share == 0.25 and strangers.tshark is None
    assert with_deep(deep, None) is deep and not with_deep(deep, False).enabled


def test_what_wireshark_shall_read_needs_tshark_and_is_asked_of_one_only(
    capture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep, engine = DeepSettings(enabled=True), CaptureSettings(engine="pyshark")
    with monkeypatch.context() as nowhere:
        nowhere.setenv("PATH", "/nowhere")
        for options in ((engine,), (CaptureSettings(), (), deep)):
            with pytest.raises(LenswatchError, match="tshark is not installed"):
                open_sources([capture], *options)
    with pytest.raises(SettingsError, match="of no use with engine pyshark"):
        open_sources([capture], engine, (), deep)


@needs_tshark
@pytest.mark.parametrize("engine", ["own", "pyshark"])
def test_whose_traffic_is_watched_is_the_same_whoever_reads(engine: str) -> None:
    packets = [(BEGIN_NS, udp_frame(QUERY, ("10.20.0.99", 1_000, "10.20.0.1", 53)))]
    for touches, told in ((nothing, 0), (None, 1)):
        pipeline = pipeline_for(CaptureSettings(engine=engine), CollectorSettings(), (), touches=touches)
        found = pipeline.process(block_of(packets)) + pipeline.finish()
        assert [each.event.dataset for each in found] == ["lenswatch.dns"] * told


def test_what_is_no_source_is_told(tmp_path: Path) -> None:
    with pytest.raises(LenswatchError, match="no such capture, folder or interface"):
        open_sources([str(tmp_path / "none")], CaptureSettings())


def test_workers_share_an_interface_alone(capture: str) -> None:
    # Made without its sockets, which only root may open.
    plain, crew = CaptureFile(capture), Crew.__new__(Crew)
    crew.name = "eth0"
    assert crew_of([plain]) is None and crew_of([crew]) is crew
    with pytest.raises(SettingsError, match="by themselves"):
        crew_of([plain, crew])


def test_only_what_may_not_end_may_go_on(capture: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    interface = socket.if_nameindex()[0][1]
    for names, goes_on in (
        ([capture], False), ([capture, str(tmp_path)], False), ([str(tmp_path / "none")], False),
        (["-"], True), ([capture, "-"], True), ([interface], True), ([str(pipe)], True),
    ):  # fmt: skip
        assert may_go_on(names, CaptureSettings()) == goes_on, names
    assert may_go_on([capture], CaptureSettings(follow=True))


def test_root_is_given_up_for_whom_the_settings_name_and_otherwise_not() -> None:
    step_down(CaptureSettings())
    with pytest.raises(SettingsError, match="there is no user 'nobody-here'"):
        step_down(CaptureSettings(user="nobody-here"))
