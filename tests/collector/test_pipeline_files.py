"""Bodies that may be firmware, from packets to the observation with their digest."""

import hashlib
from collections.abc import Callable

import pytest

from collector.identify.fingerprint import Fingerprint
from collector.observation import DEVICE_DATASET, FILE_DATASET, FIRMWARE_PUSH, PUSH_DATASET, Observation
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings
from collector.watched import nothing
from tests.collector.frames import CAMERA, SERVER, Packet, Talk, block_of

VIEWER = "10.20.0.7"
IMAGE = b"\xe9\x9a\xf7\xb6" + hashlib.sha256(b"image").digest() * 1600
FETCH = b"GET /fw/digicap.dav HTTP/1.1\r\nHost: files.example\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % len(IMAGE)
AGAIN = b"GET /next HTTP/1.1\r\nHost: files.example\r\n\r\n"


@pytest.fixture
def start(fingerprints: tuple[Fingerprint, ...]) -> Callable[..., Pipeline]:
    return lambda **settings: Pipeline(CollectorSettings(**settings), fingerprints)


def fetched(swap: bool = False) -> list[Packet]:
    """A camera fetches an image in segments of 1,400 bytes, and asks for something else after it."""
    talk = Talk((CAMERA, 40_000, SERVER, 80))
    talk.send(0, FETCH)
    for at in range(0, len(ANSWER + IMAGE), 1400):
        talk.send(1, (ANSWER + IMAGE)[at : at + 1400])
    talk.send(0, AGAIN)
    talk.close()
    packets = list(talk.packets)
    if swap:
        (early, _), (late, _) = packets[9], packets[10]
        packets[9], packets[10] = (early, packets[10][1]), (late, packets[9][1])
    return packets


def pushed(path: bytes, client: str = VIEWER) -> list[Packet]:
    """Somebody in our network gives the camera an image, whole, over HTTP."""
    talk = Talk((client, 51_000, CAMERA, 80), own="02:00:00:00:00:07")
    head = b"PUT %b HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\n\r\n" % (path, CAMERA.encode(), len(IMAGE))
    for at in range(0, len(head + IMAGE), 1400):
        talk.send(0, (head + IMAGE)[at : at + 1400])
    talk.send(1, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    talk.close()
    return talk.packets


def pushes_of(found: list[Observation]) -> list[Observation]:
    return [each for each in found if each.event.dataset == PUSH_DATASET]


def files_of(found: list[Observation]) -> list[Observation]:
    return [each for each in found if each.event.dataset == FILE_DATASET]


def urls_of(found: list[Observation]) -> list[str]:
    return [each.url.original for each in found if each.url is not None and each.event.dataset == "lenswatch.http"]


@pytest.mark.parametrize("swap", [False, True])
def test_a_file_that_passes_whole_is_an_observation_with_its_digest(start: Callable[..., Pipeline], swap: bool) -> None:
    pipeline = start()
    found = pipeline.process(block_of(fetched(swap))) + pipeline.finish()
    (seen,) = files_of(found)
    assert seen.file is not None
    assert (seen.file.size, seen.file.hash.sha256) == (len(IMAGE), hashlib.sha256(IMAGE).hexdigest())
    assert seen.lenswatch is not None
    assert seen.lenswatch.file is not None
    assert seen.lenswatch.file.container == "Hikvision digicap (header under XOR)"
    assert (seen.source.ip, seen.destination.ip, seen.destination.domain) == (CAMERA, SERVER, "files.example")
    assert seen.event.action == "download"
    assert urls_of(found) == ["/fw/digicap.dav", "/next"]
    assert not pipeline.ledger.by_reason("digests")


def test_a_hole_in_an_image_costs_the_digest_and_nothing_behind_it(start: Callable[..., Pipeline]) -> None:
    pipeline = start()
    packets = fetched()
    del packets[12:14]
    found = pipeline.process(block_of(packets)) + pipeline.finish()
    assert files_of(found) == []
    assert urls_of(found) == ["/fw/digicap.dav", "/next"]
    assert pipeline.ledger.by_reason("digests") == {"gap": 1}


def test_an_image_that_breaks_off_is_counted_and_has_no_digest(start: Callable[..., Pipeline]) -> None:
    pipeline = start()
    found = pipeline.process(block_of(fetched()[:-8])) + pipeline.finish()
    assert files_of(found) == []
    assert pipeline.ledger.by_reason("digests") == {"unfinished": 1}


@pytest.mark.parametrize("settings", [{"max_digests": 0}, {"max_digest_bytes": 1000}, {"digest_hourly_bytes": 1000}])
def test_what_is_over_the_budget_is_skipped_as_before_and_counted(
    start: Callable[..., Pipeline], settings: dict[str, int]
) -> None:
    pipeline = start(**settings)
    found = pipeline.process(block_of(fetched())) + pipeline.finish()
    assert files_of(found) == []
    assert urls_of(found) == ["/fw/digicap.dav", "/next"]
    assert sum(pipeline.ledger.by_reason("digests").values()) == 1


def test_the_same_file_cut_into_blocks_is_the_same_observation(start: Callable[..., Pipeline]) -> None:
    whole, cut = start(), start()
    packets = fetched()
    one = files_of(whole.process(block_of(packets)) + whole.finish())
    other = [each for packet in packets for each in cut.process(block_of([packet]))] + cut.finish()
    assert files_of(other) == one
    assert len(one) == 1


def test_an_image_that_is_given_from_inside_is_the_cameras_and_says_by_whom(start: Callable[..., Pipeline]) -> None:
    pipeline = start()
    found = pipeline.process(block_of(pushed(b"/ISAPI/System/updateFirmware"))) + pipeline.finish()
    call, image = pushes_of(found)
    for each in (call, image):
        assert each.event.action == FIRMWARE_PUSH
        assert each.device is not None
        assert each.lenswatch is not None
        assert each.lenswatch.pushed_by == VIEWER
        assert (each.source.ip, each.destination.ip) == (VIEWER, CAMERA)
    known = pipeline.inventory.device_at(bytes.fromhex("00005e005301"), CAMERA)
    assert call.device is not None and known.device.id == call.device.id
    assert image.file is not None
    assert image.file.hash.sha256 == hashlib.sha256(IMAGE).hexdigest()


def test_another_upload_is_a_file_and_no_push(start: Callable[..., Pipeline]) -> None:
    pipeline = start()
    found = pipeline.process(block_of(pushed(b"/upload/clip"))) + pipeline.finish()
    assert pushes_of(found) == []
    assert [each.event.action for each in files_of(found)] == ["upload"]


def test_an_upgrade_call_from_outside_is_no_push_from_inside(start: Callable[..., Pipeline]) -> None:
    pipeline = start()
    found = pipeline.process(block_of(pushed(b"/ISAPI/System/updateFirmware", "203.0.113.9"))) + pipeline.finish()
    assert pushes_of(found) == []
    assert "/ISAPI/System/updateFirmware" in urls_of(found)


def test_what_nobody_asks_for_is_not_made_but_a_push_and_a_file_are(fingerprints: tuple[Fingerprint, ...]) -> None:
    pipeline = Pipeline(CollectorSettings(), fingerprints, lambda *_: False)
    packets = [*fetched(), *pushed(b"/ISAPI/System/updateFirmware")]
    found = pipeline.process(block_of(packets)) + pipeline.finish()
    told = [each.event.dataset for each in found if each.event.dataset != "lenswatch.device"]
    assert told == [FILE_DATASET, PUSH_DATASET, PUSH_DATASET]


def test_a_file_and_a_push_are_told_only_of_what_is_watched(fingerprints: tuple[Fingerprint, ...]) -> None:
    packets = [*fetched(), *pushed(b"/ISAPI/System/updateFirmware")]
    for watched, kinds in (((), set()), ((CAMERA,), {FILE_DATASET, PUSH_DATASET})):
        settings = CollectorSettings(watched=watched)
        pipeline = Pipeline(settings, (), lambda *_: False, nothing)
        found = pipeline.process(block_of(packets)) + pipeline.finish()
        assert {each.event.dataset for each in found if each.event.dataset != DEVICE_DATASET} == kinds
        assert pipeline.ledger.unasked[FILE_DATASET] == (0 if watched else 2)
