"""What the command line says goes over the file, and only one source may go on for ever."""

from pathlib import Path

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.errors import LenswatchError, SettingsError
from collector.opening import crew_of, open_sources, with_options
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
