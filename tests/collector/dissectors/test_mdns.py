"""Multicast DNS: who announced what, in every section of the message."""

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from collector.dissectors.mdns import read_datagram, recognises
from collector.observation import Announced
from tests.collector.dissectors.messages import answer, dns, name, question

SERVICE = name("_axis-video._tcp.local")
INSTANCE = name("AXIS Gate._axis-video._tcp.local")


def test_it_says_who_announced_and_hides_the_class_flag() -> None:
    here = answer(name("cam.local"), 1, bytes((10, 0, 0, 1)), kind=0x8001)
    message = dns([question("cam.local", 1, 0x8001)], [here], flags=0x8400)
    (fact,) = read_datagram(message, FROM_CLIENT)
    assert (fact.dataset, fact.name, fact.backward) == ("mdns", "cam.local", False)
    (fact,) = read_datagram(message, FROM_SERVER)
    assert fact.backward is True
    assert fact.announced == Announced(name="cam.local", ip="10.0.0.1")


def test_it_is_recognised_on_its_port_only() -> None:
    message = dns([question("cam.local")], flags=0)
    assert [recognises(message, port, FROM_CLIENT) for port in (5353, 53, 5355)] == [True, False, False]
    assert recognises(b"\x80\x60" + bytes([0x28]) + bytes(40), 5353, FROM_CLIENT) is False


def test_the_records_of_an_answers_other_sections_say_what_the_device_is() -> None:
    texts = b"\x0emodel=AXIS M10\x17macaddress=00005E005311\x07sn=5e5e"
    message = dns(
        [],
        [answer(SERVICE, 12, INSTANCE)],
        [
            answer(INSTANCE, 33, bytes(6) + name("axis.local"), kind=0x8001),
            answer(INSTANCE, 16, texts, kind=0x8001),
            answer(name("axis.local"), 1, bytes((10, 0, 0, 1)), kind=0x8001),
        ],
        flags=0x8400,
    )
    (fact,) = read_datagram(message, FROM_CLIENT)
    assert fact.dns is not None and [each.type for each in fact.dns.answers or ()] == ["PTR", "SRV", "TXT", "A"]
    assert fact.announced == Announced(
        name="AXIS Gate", model="AXIS M10", mac="00005E005311", serial_number="5e5e", ip="10.0.0.1",
        services=["_axis-video._tcp.local"],
    )  # fmt: skip


def test_what_a_probe_would_like_to_be_called_is_not_an_answer() -> None:
    here = answer(name("cam.local"), 1, bytes((10, 0, 0, 1)))
    (fact,) = read_datagram(dns([question("cam.local", 255)], [], [here], flags=0), FROM_CLIENT)
    assert fact.dns is not None and fact.dns.answers is None and fact.announced is None
