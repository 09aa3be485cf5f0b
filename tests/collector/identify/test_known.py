"""What is known of one device: signs in bounds, what it says of itself, and news of every change."""

import pytest

from collector.identify.evidence import Opinions, Sign
from collector.identify.known import MAX_EVIDENCE, MAX_OF_A_SORT, KnownDevice
from collector.observation import Announced


@pytest.fixture
def known() -> KnownDevice:
    return KnownDevice("office/a", {}, Opinions({}))


def test_evidence_is_bounded(known: KnownDevice) -> None:
    for number in range(3 * MAX_EVIDENCE):
        known.add(Sign(f"sign {number}", f"sort {number}", 0.01, "acme"))
    assert len(known.signs) == MAX_EVIDENCE


def test_of_one_sort_the_strongest_are_kept(known: KnownDevice) -> None:
    for weight in (0.1, 0.2, 0.3, 0.4, 0.7, 0.05):
        known.add(Sign(f"calls {weight}", "names", weight, "acme", weight))
    assert len(known.signs) == MAX_OF_A_SORT and known.identity.confidence == 0.7
    assert "calls 0.1" not in known.signs and "calls 0.05" not in known.signs


def test_every_change_is_news_and_nothing_else_is(known: KnownDevice) -> None:
    known.add(Sign("a", "names", 0.4, "acme", 0.6))
    assert known.news == {"office/a": known}
    known.news.clear()
    known.add(Sign("a", "names", 0.4, "acme", 0.6))
    known.tell(Announced())
    assert not known.news
    known.tell(Announced(firmware="2.0"))
    assert known.news and known.identity.firmware == "2.0"


def test_what_is_not_said_again_still_holds_and_what_is_said_otherwise_is_noted(known: KnownDevice) -> None:
    known.tell(Announced(model="X1", serial_number="1", firmware="1.0", name="door"))
    known.tell(Announced(firmware="1.1", name="a service"))
    assert (known.model, known.serial_number, known.firmware, known.name) == ("X1", "1", "1.1", "door")
    known.tell(Announced(name="gate"), named=True)
    known.tell(Announced(serial_number="2"))
    assert known.name == "gate" and known.identity.contradictions == ["has said serial number 1 and 2"]


def test_a_router_keeps_no_sign_and_takes_none(known: KnownDevice) -> None:
    known.add(Sign("p", "protocol", 0.85, "acme", 0.85))
    known.tell(Announced(model="X1"))
    known.route()
    known.add(Sign("q", "names", 0.7, "acme", 0.7))
    assert (known.identity.type, known.identity.maker, known.model, known.device.model) == ("other", None, None, None)


def test_what_was_learned_of_one_is_given_to_the_other(known: KnownDevice) -> None:
    other = KnownDevice("office/b", known.news, Opinions({}))
    known.add(Sign("p", "protocol", 0.85, "acme", 0.85))
    known.tell(Announced(model="X1", firmware="1.0"))
    known.give_to(other)
    assert other.is_camera and (other.model, other.firmware) == ("X1", "1.0") and "office/a" not in known.news
