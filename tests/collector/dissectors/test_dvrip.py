"""DVRIP: what Xiongmai's devices say of themselves, who asks them for what, and no video."""

import pytest

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from collector.dissectors.dvrip import (
    MAX_MEDIA_BYTES,
    DvripDissection,
    read_address,
    read_datagram,
    recognises_datagram,
    recognises_stream,
)
from collector.errors import Malformed
from collector.observation import Announced
from tests.collector.dissectors.documents import (
    CAMERA_MAC,
    DVRIP_FOUND,
    DVRIP_LOGGED_IN,
    DVRIP_LOGIN,
    DVRIP_MEDIA,
    DVRIP_SEARCH,
    DVRIP_UPDATE,
    dvrip,
)


def test_a_device_that_is_found_says_who_it_is() -> None:
    (asked,), (answered,) = read_datagram(DVRIP_SEARCH, FROM_CLIENT), read_datagram(DVRIP_FOUND, FROM_SERVER)
    assert (asked.dataset, asked.action) == ("dvrip", "search")
    assert answered.action == "search answer" and answered.announced == Announced(
        name="LocalHost", serial_number="5e5e440400010002", firmware="V5.00.R02", mac=CAMERA_MAC, ip="10.20.0.11"
    )


def test_a_login_says_no_name_and_no_password_and_its_answer_what_the_device_is() -> None:
    dissection = DvripDissection()
    (asked,) = dissection.feed(FROM_CLIENT, DVRIP_LOGIN)
    (answered,) = dissection.feed(FROM_SERVER, DVRIP_LOGGED_IN)
    assert (asked.action, asked.announced) == ("login", None)
    assert answered.announced == Announced(type="IPC")


def test_a_look_at_the_update_service_is_said_by_its_name() -> None:
    (fact,) = DvripDissection().feed(FROM_CLIENT, DVRIP_UPDATE)
    assert fact.action == "get configuration"
    assert fact.announced is not None and fact.announced.services == ["NetWork.OnlineUpgrade"]


def test_system_information_says_hardware_and_firmware() -> None:
    told = dvrip(1021, {"SystemInfo": {"HardWare": "XM530", "SoftWareVersion": "V5.00", "SerialNo": "5e"}, "Ret": 100})
    (fact,) = DvripDissection().feed(FROM_SERVER, told)
    assert fact.announced == Announced(model="XM530", firmware="V5.00", serial_number="5e")


def test_video_is_passed_by_and_soon_not_read_any_more() -> None:
    dissection = DvripDissection()
    assert len(list(dissection.feed(FROM_SERVER, DVRIP_MEDIA + DVRIP_LOGGED_IN))) == 1
    big = dvrip(1412, b"\0\0\1\xfc" + bytes(8_000))
    for _ in range(MAX_MEDIA_BYTES // len(big) + 1):
        list(dissection.feed(FROM_SERVER, big))
    assert dissection.wants == [True, False]


def test_a_header_that_lies_is_not_recognised() -> None:
    assert recognises_datagram(DVRIP_SEARCH, 34_569, FROM_CLIENT) and recognises_stream(DVRIP_LOGIN, 9, FROM_CLIENT)
    assert not recognises_datagram(DVRIP_SEARCH + b"x", 34_569, FROM_CLIENT)
    for first in (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(20), b"\xff\0\0\0" + bytes(30), b"\xff\x02"):
        assert recognises_stream(first, 34_567, FROM_SERVER) is False
    assert recognises_stream(DVRIP_LOGIN[:19], 34_567, FROM_CLIENT) is None


def test_a_document_that_is_none_and_a_message_after_the_end_are_malformed() -> None:
    with pytest.raises(Malformed, match="no JSON object"):
        read_datagram(dvrip(1000, b"{x"), FROM_CLIENT)
    with pytest.raises(Malformed, match="no DVRIP message"):
        list(DvripDissection().feed(FROM_CLIENT, DVRIP_LOGIN + bytes(40)))


def test_addresses_are_read_as_devices_write_them() -> None:
    assert read_address("0x0A01A8C0") == "192.168.1.10" and read_address("10.0.0.1") == "10.0.0.1"
    assert read_address("0xzz") is None and read_address("0x0102030405") is None and read_address(None) is None
