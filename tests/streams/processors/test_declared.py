"""What is declared against what is seen: undeclared cameras, silent devices, other makers; each told once."""

import datetime
from collections.abc import Callable

import pytest

from collector.observation import DEVICE_DATASET, Declared, Observation
from rules.match import RuleSet
from streams.processors.declared import DATASET, MAX_TOLD, Register

Observe = Callable[..., Observation]
DAY = "2026-11-02T08:00:00Z"
IDENTITY = {
    "type": "camera", "confidence": 0.9, "maker": "hikvision", "maker_confidence": 0.95,
    "addresses": ["10.0.0.10", "10.0.0.11"], "hardware": ["44:19:b6:00:00:01"],
}  # fmt: skip
LOBBY = Declared(address="10.0.0.11", name="lobby", maker="Hikvision")


def seen(observe: Observe, at: str = DAY, **identity: object) -> Observation:
    change = {
        "@timestamp": at, "event.dataset": DEVICE_DATASET, "lenswatch.device": IDENTITY | identity,
        "lenswatch.site": "hq", "device": {"id": "hq/44:19:b6:00:00:01", "manufacturer": "hikvision"},
    }  # fmt: skip
    return observe(change)


def actions(told: list[Observation]) -> list[str | None]:
    assert all(each.event.dataset == DATASET for each in told)
    return [each.event.action for each in told]


def test_a_camera_that_nobody_declared_is_told_once(observe: Observe) -> None:
    register = Register([])
    told = register.compare([seen(observe), seen(observe)])
    assert actions(told) == ["undeclared"] and told[0].device is not None
    assert (told[0].device.id, told[0].source.ip, register.counts) == (
        "hq/44:19:b6:00:00:01",
        "10.0.0.11",
        {"undeclared": 1},
    )
    assert register.compare([seen(observe)]) == []


def test_what_is_no_camera_need_not_be_declared(observe: Observe) -> None:
    assert Register([]).compare([seen(observe, type="other"), seen(observe, confidence=0.4)]) == []


@pytest.mark.parametrize(
    "row",
    [
        Declared(address="10.0.0.11"), Declared(mac="44:19:b6:00:00:01"), Declared(network="10.0.0.0/24"),
        Declared(address="10.0.0.11", site="hq"),
    ],
)  # fmt: skip
def test_a_device_is_declared_by_address_mac_or_network(observe: Observe, row: Declared) -> None:
    register = Register([row])
    assert register.compare([seen(observe)]) == [] and register.rows[0].seen is not None


def test_a_device_of_both_families_is_declared_by_either(observe: Observe) -> None:
    both = seen(observe, addresses=["10.0.0.11", "fd20::11"])
    for address in ("10.0.0.11", "fd20::11"):
        assert Register([Declared(address=address)]).compare([both]) == []


def test_another_sites_list_and_yesterdays_address_declare_nothing(observe: Observe) -> None:
    for row in (Declared(address="10.0.0.11", site="branch"), Declared(address="10.0.0.10")):
        assert actions(Register([row]).compare([seen(observe)])) == ["undeclared"]


@pytest.mark.parametrize(
    ("declared", "identity", "differ"),
    [
        ("Hikvision", {}, False),
        ("Hangzhou Hikvision Digital Technology", {}, False),
        ("D-Link", {"maker": "dlink"}, False),
        ("TP-Link", {"maker": "tplink-systems"}, False),
        ("Intelbras", {"maker": "dahua", "brand": "Intelbras"}, False),
        ("Axis", {}, True),
        ("Annke", {}, True),
        ("Axis", {"maker_confidence": 0.6}, False),
        ("Axis", {"maker": None}, False),
        (None, {}, False),
    ],
)
def test_a_maker_differs_where_the_device_speaks_surely_as_anothers(
    observe: Observe, declared: str | None, identity: dict[str, object], differ: bool
) -> None:
    register = Register([Declared(address="10.0.0.11", maker=declared)])
    device = {"device": {"id": "hq/a"}} if identity else {}
    one = observe(
        {"event.dataset": DEVICE_DATASET, "lenswatch.device": IDENTITY | identity, "lenswatch.site": "hq"} | device
    )
    assert actions(register.compare([one, one])) == (["maker differs"] if differ else [])


def test_a_declared_device_that_is_silent_for_a_day_is_told_once_until_it_is_back(observe: Observe) -> None:
    register = Register([LOBBY])

    def other(at: str) -> Observation:
        return observe({"@timestamp": at})

    assert register.compare([other(DAY)]) == [] == register.compare([other("2026-11-03T06:59:00Z")]), "not yet a day"
    told = register.compare([other("2026-11-03T08:00:00Z")])
    assert actions(told) == ["silent"] and told[0].lenswatch is not None and told[0].lenswatch.declared == LOBBY
    assert register.compare([other("2026-11-05T08:00:00Z")]) == []
    register.compare([seen(observe, "2026-11-05T09:00:00Z")])
    assert register.compare([other("2026-11-06T08:00:00Z")]) == []
    assert actions(register.compare([other("2026-11-06T09:00:00Z")])) == ["silent"]
    assert register.counts["silent"] == 2 and register.seen == 1


def test_what_was_seen_before_a_restart_counts(observe: Observe) -> None:
    register = Register([LOBBY])
    register.remember(["10.0.0.11"], [], "hq", datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC))
    assert register.seen == 1 and register.compare([observe({"@timestamp": DAY})]) == [], "it had its day to be seen"


def test_a_network_is_never_silent(observe: Observe) -> None:
    register = Register([Declared(network="10.9.0.0/24")])
    assert register.compare([observe({"@timestamp": DAY}), observe({"@timestamp": "2026-12-02T08:00:00Z"})]) == []


def test_what_was_told_is_remembered_within_bounds(observe: Observe, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_TOLD >= 100_000
    monkeypatch.setattr("streams.processors.declared.MAX_TOLD", 3)
    register = Register([])
    for number in range(10):
        one = observe({"event.dataset": DEVICE_DATASET, "lenswatch.device": IDENTITY, "device.id": f"hq/{number}"})
        assert len(register.compare([one])) == 1
    assert len(register._told) == 3


def test_each_difference_is_an_alert_with_a_sentence(observe: Observe, rules: RuleSet) -> None:
    register = Register([Declared(address="10.0.0.11", name="lobby", maker="Axis", model="P3265")])
    differs = register.compare([seen(observe)])
    silent = Register([LOBBY]).compare([observe({"@timestamp": DAY}), observe({"@timestamp": "2026-11-03T08:00:00Z"})])
    undeclared = Register([]).compare([seen(observe)])
    messages = [rules.match(each)[0].message.partition(" For ")[0] for each in (*differs, *silent, *undeclared)]
    assert messages == [
        "Camera 10.0.0.11 (hikvision) is declared as lobby (Axis P3265), and speaks as a device of hikvision.",
        "Device 10.0.0.11 is declared as lobby (Hikvision), and nothing was heard of it for a day.",
        "Camera 10.0.0.11 (hikvision) is in no list of declared devices.",
    ]
