"""A name is remembered for the client that was told it, for a day, and within the bound."""

import ipaddress

from collector.naming import KEPT_SECONDS, NameMemory
from tests.collector.frames import BEGIN_NS, NS

CLIENT, OTHER = (ipaddress.ip_address(text).packed for text in ("10.0.0.1", "fd20::1"))


def server(number: int) -> bytes:
    return ipaddress.ip_address((192 << 24) + number).packed


def test_a_name_is_known_to_the_client_that_learned_it_and_to_no_other() -> None:
    names = NameMemory()
    names.learn(CLIENT, [server(1), server(2)], "a.example", BEGIN_NS, "dns_answer")
    assert names.name_of(CLIENT, server(2), BEGIN_NS + NS) == ("a.example", "dns_answer")
    assert names.name_of(OTHER, server(2), BEGIN_NS + NS) is None
    assert names.name_of(CLIENT, server(3), BEGIN_NS + NS) is None


def test_the_last_name_wins() -> None:
    names = NameMemory()
    names.learn(CLIENT, [server(1)], "old.example", BEGIN_NS, "dns_answer")
    names.learn(CLIENT, [server(1)], "new.example", BEGIN_NS + NS, "tls_sni")
    assert names.name_of(CLIENT, server(1), BEGIN_NS + 2 * NS) == ("new.example", "tls_sni")
    assert len(names) == 1


def test_a_name_is_forgotten_after_a_day() -> None:
    names = NameMemory()
    names.learn(CLIENT, [server(1)], "a.example", BEGIN_NS, "dns_answer")
    assert names.name_of(CLIENT, server(1), BEGIN_NS + KEPT_SECONDS * NS) is not None
    assert names.name_of(CLIENT, server(1), BEGIN_NS + KEPT_SECONDS * NS + 1) is None


def test_the_oldest_names_go_first_and_are_counted() -> None:
    names = NameMemory(max_names=100)
    for number in range(1_000):
        names.learn(CLIENT, [server(number)], f"{number}.example", BEGIN_NS, "dns_answer")
        assert len(names) <= 100
    assert names.evicted == 1_000 - len(names)
    assert names.name_of(CLIENT, server(999), BEGIN_NS) == ("999.example", "dns_answer")
    assert names.name_of(CLIENT, server(0), BEGIN_NS) is None


def test_an_answer_is_learned_whole_before_the_oldest_go() -> None:
    names = NameMemory(max_names=16)
    for number in range(16):
        names.learn(CLIENT, [server(number)], f"old{number}.example", BEGIN_NS, "dns_answer")
    names.learn(CLIENT, [server(16), server(17)], "new.example", BEGIN_NS, "dns_answer")
    assert (len(names), names.evicted) == (14, 4), "an eighth, and the two that are too many"
    assert names.name_of(CLIENT, server(3), BEGIN_NS) is None


def test_a_name_that_was_learned_again_is_not_the_oldest() -> None:
    names = NameMemory(max_names=8)
    for number in range(8):
        names.learn(CLIENT, [server(number)], f"{number}.example", BEGIN_NS, "dns_answer")
    names.learn(CLIENT, [server(0)], "again.example", BEGIN_NS, "dns_answer")
    names.learn(CLIENT, [server(8)], "8.example", BEGIN_NS, "dns_answer")
    assert names.name_of(CLIENT, server(0), BEGIN_NS) == ("again.example", "dns_answer")
    assert names.name_of(CLIENT, server(1), BEGIN_NS) is None


def test_one_answer_with_more_addresses_than_fit_stays_within_the_bound() -> None:
    names = NameMemory(max_names=4)
    names.learn(CLIENT, [server(number) for number in range(50)], "many.example", BEGIN_NS, "dns_answer")
    assert 0 < len(names) <= 4 and len(names) + names.evicted == 50
    assert names.name_of(CLIENT, server(49), BEGIN_NS) == ("many.example", "dns_answer")
