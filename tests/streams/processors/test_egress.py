"""Policies of where a device may call: who is under which, what breaks them, and what only seems to."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from collector.observation import Declared, Observation
from rules.match import RuleSet
from streams.processors.declared import Register
from streams.processors.egress import NONE, Places, Policies, Policy

Observe = Callable[..., Observation]
STAY = Policy(egress="none")
LISTED = Policy(egress="listed names only", listed=("vendor.example", "203.0.113.0/24", "2001:db8::1"))
AT_HOME = Policy(egress="own country", country="de")


def flow(observe: Observe, **change: Any) -> Observation:
    """A camera's flow to outside."""
    base = {
        "event.dataset": "lenswatch.flow", "network.direction": "outbound", "source.ip": "10.20.1.14",
        "device": {"id": "hq/44:19:b6:00:00:14"}, "destination": {"ip": "198.51.100.7", "port": 443},
        "lenswatch": {"site": "hq", "device": {"type": "camera", "confidence": 0.9},
                      "flow": {"state": "opened", "duration_seconds": 1.0}},
    }  # fmt: skip
    return observe(base | change)


def broken(policies: Policies, observation: Observation) -> str | None:
    more = policies.judge(observation).lenswatch
    return more.egress.policy if more is not None and more.egress is not None else None


def test_a_camera_that_may_call_nobody_breaks_its_policy_by_any_flow_to_outside(observe: Observe) -> None:
    policies = Policies({"stay": STAY})
    assert broken(policies, flow(observe)) == "stay"
    attempt = {"lenswatch.flow.state": "attempt", "destination.domain": "vendor.example"}
    assert broken(policies, flow(observe, **attempt)) == "stay"
    judged = policies.judge(flow(observe)).lenswatch
    assert judged is not None and judged.egress is not None and judged.egress.allows == "none"


@pytest.mark.parametrize(
    "change",
    [{"network.direction": "internal"}, {"network.direction": "inbound"}, {"event.dataset": "lenswatch.dns"},
     {"lenswatch.device.type": "other"}, {"device": None}],
)  # fmt: skip
def test_what_is_no_call_of_a_camera_breaks_nothing(observe: Observe, change: dict[str, Any]) -> None:
    assert broken(Policies({"stay": STAY}), flow(observe, **change)) is None


@pytest.mark.parametrize(
    ("destination", "allowed"),
    [
        ({"ip": "198.51.100.7", "domain": "vendor.example"}, True),
        ({"ip": "198.51.100.7", "domain": "Api.Vendor.Example."}, True),
        ({"ip": "198.51.100.7", "domain": "evilvendor.example"}, False),
        ({"ip": "198.51.100.7", "domain": "vendor.example.net"}, False),
        ({"ip": "198.51.100.7"}, False),
        ({"ip": "203.0.113.9"}, True),
        ({"ip": "2001:db8::1"}, True),
        ({"ip": "2001:db8::2"}, False),
    ],
)
def test_listed_names_are_let_pass_on_label_boundaries_and_addresses_by_network(
    observe: Observe, destination: dict[str, str], allowed: bool
) -> None:
    assert (broken(Policies({"listed": LISTED}), flow(observe, destination=destination)) is None) == allowed


def test_a_call_to_another_country_breaks_the_policy_and_one_to_nowhere_known_is_counted(observe: Observe) -> None:
    policies = Policies({"home": AT_HOME})
    assert broken(policies, flow(observe, **{"destination.geo.country_iso_code": "CN"})) == "home"
    assert broken(policies, flow(observe, **{"destination.geo.country_iso_code": "DE"})) is None
    assert not policies.counts
    assert broken(policies, flow(observe)) is None
    assert policies.counts == {"calls_whose_country_is_not_known": 1}


@pytest.mark.parametrize(
    ("policy", "under"),
    [
        (Policy(egress="none", kinds=("camera",)), True),
        (Policy(egress="none", kinds=("recorder",)), False),
        (Policy(egress="none", sites=("hq",)), True),
        (Policy(egress="none", sites=("branch",)), False),
        (Policy(egress="none", devices=("10.20.1.0/24",)), True),
        (Policy(egress="none", devices=("10.20.2.0/24", "10.20.1.14")), True),
        (Policy(egress="none", devices=("44-19-B6-00-00-14",)), True),
        (Policy(egress="none", devices=("44:19:b6:00:00:15",)), False),
        (Policy(egress="none", devices=("10.20.1.0/24",), kinds=("recorder",)), False),
        (Policy(egress="none", groups=("lobby",)), False),
    ],
)
def test_a_policy_is_of_a_kind_a_site_and_of_listed_devices(observe: Observe, policy: Policy, under: bool) -> None:
    assert (broken(Policies({"stay": policy}), flow(observe)) == "stay") == under


def test_listed_devices_are_under_a_policy_whatever_they_are(observe: Observe) -> None:
    policies = Policies({"stay": Policy(egress="none", devices=("10.20.1.0/24", "44-19-B6-00-00-15"))})
    assert broken(policies, flow(observe, **{"lenswatch.device.type": "unknown"})) == "stay"
    assert policies.members() == ["10.20.1.0/24", "44:19:b6:00:00:15"]


def test_the_first_policy_in_the_settings_that_a_device_is_under_counts(observe: Observe) -> None:
    few = Policy(egress="listed names only", listed=("198.51.100.7",), devices=("10.20.1.14",))
    assert broken(Policies({"few": few, "stay": STAY}), flow(observe)) is None
    assert broken(Policies({"stay": STAY, "few": few}), flow(observe)) == "stay"


def test_a_row_of_the_inventory_names_a_group_or_its_own_policy_which_comes_first(observe: Observe) -> None:
    grouped = Register([Declared(address="10.20.1.14", group="lobby")])
    own = Register([Declared(mac="44:19:b6:00:00:14", group="lobby", egress="open")])
    stay = Policy(egress="none", groups=("lobby",))
    given = {"stay": stay, "open": Policy(egress="listed names only", listed=("198.51.100.0/24",), groups=("-",))}
    assert broken(Policies(given, grouped), flow(observe)) == "stay"
    assert broken(Policies(given, own), flow(observe)) is None
    assert Policies(given, grouped).members() == ["10.20.1.14/32"]
    assert Policies(given, own).members() == ["44:19:b6:00:00:14"]


def test_the_policy_none_is_there_without_settings_and_one_that_nobody_set_is_named(observe: Observe) -> None:
    policies = Policies({}, Register([Declared(address="10.20.1.14", egress=NONE)]))
    assert policies and broken(policies, flow(observe)) == NONE and policies.unknown() == []
    assert Policies({}, Register([Declared(address="10.20.1.14", egress="lobby")])).unknown() == ["lobby"]
    assert not Policies({}) and not Policies({}, Register([Declared(address="10.20.1.14")]))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"egress": "some"}, "Invalid enum value 'some'"),
        ({"egress": "listed names only"}, "go together"),
        ({"egress": "none", "listed": ["a.example"]}, "go together"),
        ({"egress": "own country"}, "go together"),
        ({"egress": "own country", "country": "Germany"}, "no code of two letters"),
        ({"egress": "none", "devices": ["lobby"]}, "no address, network or MAC"),
        ({"egress": "none", "kinds": ["fridge"]}, "Invalid enum value 'fridge'"),
        ({"egress": "none", "name": "x"}, "unknown field `name`"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_with_its_reason(table: dict[str, Any], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(table, Policy)


def test_what_is_remembered_of_devices_is_bounded(observe: Observe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.processors.egress.MAX_ANSWERS", 3)
    policies = Policies({"stay": STAY})
    for number in range(10):
        assert broken(policies, flow(observe, device={"id": f"hq/10.0.0.{number}"})) == "stay"
    assert len(policies._answers) <= 3


def test_an_asterisk_before_a_name_is_what_people_mean() -> None:
    assert Places(["*.vendor.example"]).cover("a.vendor.example") and not Places(["*"]).cover("a.example")


def test_a_broken_policy_is_an_alert_with_the_policys_name(observe: Observe, rules: RuleSet) -> None:
    judged = Policies({"stay": STAY}).judge(flow(observe))
    told = [alert for alert in rules.match(judged) if alert.rule.name == "Call that the device's policy forbids"]
    assert len(told) == 1 and told[0].lenswatch.level == "high"
    assert told[0].lenswatch.egress is not None and told[0].lenswatch.egress.policy == "stay"
    assert told[0].message.startswith("Camera 10.20.1.14 called 198.51.100.7:443, which the policy stay (none) does")
    assert not any(alert.lenswatch.egress for alert in rules.match(flow(observe)))
