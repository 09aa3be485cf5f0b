"""What the command line says goes over the file, and only one source may go on for ever."""

import os
import socket
from pathlib import Path

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.errors import LenswatchError, SettingsError
from collector.opening import crew_of, may_go_on, open_sources, step_down, with_options
from collector.settings import CaptureSettings
from collector.workers import Crew
from tests.collector.frames import BEGIN_NS, pcap


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


def test_nothing_can_be_named_behind_a_source_that_does_not_end(capture: str) -> None:
    with pytest.raises(SettingsError, match="does not end"):
        open_sources([capture, capture], CaptureSettings(follow=True))


def test_what_is_no_source_is_told(tmp_path: Path) -> None:
    with pytest.raises(LenswatchError, match="no such capture, folder or interface"):
        open_sources([str(tmp_path / "none")], CaptureSettings())


def test_workers_share_an_interface_alone(capture: str) -> None:
    # Made without its sockets, which only root may open.
    plain, crew = CaptureFile(capture), Crew.__new__(Crew)
    crew.name = "eth0"
    assert crew_of([plain]) is None and crew_of([crew]) is crew
    with pytest.raises(SettingsError, match="by itself"):
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
