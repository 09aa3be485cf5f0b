"""Who a device is: by its MAC prefix, what it calls and serves, and what speaks against; in bounded memory."""

import pytest

from collector.identify.evidence import ASKED_SHARE, BROWSER_WEIGHT, CALL_WEIGHTS, PORT_WEIGHT, PREFIX_WEIGHTS, combine
from collector.identify.fingerprint import Fingerprint
from collector.identify.inventory import MAX_ADDRESSES_OF_A_MAC, MAX_IPV6_OF_A_MAC, Inventory, read_mac
from collector.identify.known import KnownDevice

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
ACME_MAC = bytes.fromhex("00005e001122")
NOBODYS_MAC = bytes.fromhex("02ffff000001")
ROUTER = bytes.fromhex("02eeee000001")


@pytest.fixture
def inventory(fingerprints: tuple[Fingerprint, ...]) -> Inventory:
    return Inventory("office", fingerprints)


def kind(known: KnownDevice) -> tuple[str, float, str | None]:
    return known.identity.type, known.identity.confidence, known.device.manufacturer


def test_a_device_of_which_nothing_is_known_is_unknown(inventory: Inventory) -> None:
    known = inventory.device_at(NOBODYS_MAC, "10.0.0.1")
    assert kind(known) == ("unknown", 0.0, None) and known.identity.evidence is None
    assert known.device.id == "office/02:ff:ff:00:00:01"


@pytest.mark.parametrize(
    ("mac", "expected"),
    [
        ("00005e001122", ("camera", PREFIX_WEIGHTS["high"], "acme")),
        ("0211223abcde", ("camera", PREFIX_WEIGHTS["high"], "acme")),
        ("02112230abcd", ("camera", PREFIX_WEIGHTS["high"], "acme")),
        ("0211224abcde", ("unknown", PREFIX_WEIGHTS["medium"], None)),
        ("023344000000", ("unknown", PREFIX_WEIGHTS["low"], None)),
        ("023345000000", ("unknown", 0.0, None)),
    ],
    ids=["24 bits", "28 bits", "28 bits, zero next", "the 24 bits around it", "low relevance", "a neighbour"],
)
def test_the_longest_prefix_says_who_made_it_and_how_surely(
    inventory: Inventory, mac: str, expected: tuple[str, float, str | None]
) -> None:
    assert kind(inventory.device_at(bytes.fromhex(mac), "10.0.0.1")) == expected


def test_the_prefix_that_spoke_stands_in_the_evidence(inventory: Inventory) -> None:
    assert inventory.device_at(ACME_MAC, "10.0.0.1").identity.evidence == ["MAC prefix 00:00:5e of Acme Vision"]
    long = inventory.device_at(bytes.fromhex("0211223abcde"), "10.0.0.2")
    assert long.identity.evidence == ["MAC prefix 02:11:22:30 of Acme Vision"]


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("device.acme.example", CALL_WEIGHTS["high"]),
        ("DEVICE.Acme.Example", CALL_WEIGHTS["high"]),
        ("sub.device.acme.example", 0.0),
        ("p2p.acme.example", CALL_WEIGHTS["medium"]),
        ("a.b.p2p.acme.example", CALL_WEIGHTS["medium"]),
        ("notp2p.acme.example", 0.0),
        ("acme.example", 0.0),
        ("p2p.acme.example.net", 0.0),
        ("api.zenith.example", CALL_WEIGHTS["low"]),
        ("", 0.0),
        (".", 0.0),
    ],
)
def test_names_that_only_devices_call_are_evidence_on_label_boundaries(
    inventory: Inventory, name: str, weight: float
) -> None:
    known = inventory.device_at(NOBODYS_MAC, "10.0.0.1")
    inventory.note_call(known, name)
    inventory.note_call(known, name)
    assert known.identity.confidence == pytest.approx(weight)
    assert known.is_camera is (weight >= 0.5)


def test_a_name_that_was_only_looked_up_says_less(inventory: Inventory) -> None:
    known = inventory.device_at(NOBODYS_MAC, "10.0.0.1")
    inventory.note_call(known, "device.acme.example", asked=True)
    assert known.identity.confidence == pytest.approx(CALL_WEIGHTS["high"] * ASKED_SHARE, abs=1e-3)


def test_what_a_resolver_looks_up_it_looks_up_for_others(inventory: Inventory) -> None:
    known = inventory.device_at(NOBODYS_MAC, "10.0.0.1")
    inventory.note_call(known, "device.acme.example", asked=True)
    known.serve_names()
    assert kind(known) == ("unknown", 0.0, None)


def test_a_discovery_port_is_evidence_for_the_maker_of_its_protocol(inventory: Inventory) -> None:
    assert inventory.discovery_ports == {("tcp", 37_777)}
    known = inventory.device_at(NOBODYS_MAC, "10.0.0.1")
    inventory.note_port(known, "udp", 37_777)
    assert kind(known) == ("unknown", 0.0, None)
    inventory.note_port(known, "tcp", 37_777)
    assert kind(known) == ("camera", PORT_WEIGHT, "acme")


def test_pieces_for_one_maker_add_up_and_other_makers_pieces_do_not(inventory: Inventory) -> None:
    known = inventory.device_at(bytes.fromhex("0211224abcde"), "10.0.0.1")
    inventory.note_call(known, "p2p.acme.example")
    assert kind(known) == ("unknown", PREFIX_WEIGHTS["medium"], None)
    inventory.note_call(known, "api.zenith.example")
    together = combine([PREFIX_WEIGHTS["medium"], CALL_WEIGHTS["low"]])
    assert kind(known) == ("camera", pytest.approx(together, abs=1e-3), "zenith")


def test_who_made_the_box_is_its_maker_whatever_service_it_calls(inventory: Inventory) -> None:
    known = inventory.device_at(ACME_MAC, "10.0.0.1")
    for name in ("api.zenith.example", "device.acme.example"):
        inventory.note_call(known, name)
    assert known.device.manufacturer == "acme"


def test_a_desktop_browser_speaks_against_a_camera(inventory: Inventory) -> None:
    laptop = inventory.device_at(NOBODYS_MAC, "10.0.0.1")
    inventory.note_user_agent(laptop, WINDOWS)
    assert kind(laptop) == ("other", BROWSER_WEIGHT, None)
    camera = inventory.device_at(ACME_MAC, "10.0.0.2")
    inventory.note_user_agent(camera, WINDOWS)
    assert camera.identity.type == "other" and camera.device.manufacturer is None
    inventory.note_user_agent(inventory.device_at(ACME_MAC, "10.0.0.2"), "camera/1.0")
    assert (camera.identity.evidence, camera.identity.against) == (
        ["MAC prefix 00:00:5e of Acme Vision"], ["a browser's user agent"],
    )  # fmt: skip


def test_what_was_observed_before_keeps_what_was_known_then(inventory: Inventory) -> None:
    known = inventory.device_at(NOBODYS_MAC, "10.0.0.1")
    device, identity = known.device, known.identity
    inventory.note_call(known, "device.acme.example")
    assert (device.manufacturer, identity.type, identity.evidence) == (None, "unknown", None)
    assert known.device.id == device.id and known.device.manufacturer == "acme"


def test_a_device_with_several_addresses_is_one_device(inventory: Inventory) -> None:
    four, six = inventory.device_at(ACME_MAC, "10.0.0.1"), inventory.device_at(ACME_MAC, "fd20::1")
    assert four is six and len(inventory) == 1


def test_a_mac_before_many_addresses_is_a_routers_and_never_a_camera(inventory: Inventory) -> None:
    router = inventory.device_at(ACME_MAC, "10.0.0.0")
    inventory.note_call(router, "device.acme.example")
    assert router.is_camera, "so far it might be one"
    ids = [inventory.device_at(ACME_MAC, f"10.0.0.{number}").device.id for number in range(20)]
    assert set(ids[:MAX_ADDRESSES_OF_A_MAC]) == {"office/00:00:5e:00:11:22"}
    assert ids[MAX_ADDRESSES_OF_A_MAC:] == [f"office/10.0.0.{number}" for number in range(MAX_ADDRESSES_OF_A_MAC, 20)]
    behind = inventory.device_at(ACME_MAC, "10.0.0.19")
    assert kind(behind) == ("unknown", 0.0, None), "the router's maker says nothing of who is behind it"
    assert (router.identity.type, router.device.manufacturer, router.is_camera) == ("other", None, False)
    inventory.note_call(router, "device.acme.example")
    assert not router.is_camera, "what a router is seen to call, others call"
    assert inventory.device_at(ACME_MAC, "10.0.0.1").device.id == "office/10.0.0.1", "met anew"


def test_at_which_ends_devices_were_met_is_forgotten_when_one_is_nobodys_again(inventory: Inventory) -> None:
    inventory.device_at(ACME_MAC, "10.0.0.0")
    inventory.met.add(b"noted")
    for number in range(1, MAX_ADDRESSES_OF_A_MAC):
        inventory.device_at(ACME_MAC, f"10.0.0.{number}")
    assert inventory.met == {b"noted"}, "whoever comes changes nothing"
    inventory.device_at(ACME_MAC, "10.0.1.1")
    assert not inventory.met, "the MAC is a router's, and who is behind it is to be met anew"


def test_at_which_ends_devices_were_met_is_forgotten_with_the_first_that_has_to_go(inventory: Inventory) -> None:
    inventory.max_devices = 2
    for mac, address in ((ACME_MAC, "10.0.0.1"), (NOBODYS_MAC, "10.0.0.2"), (NOBODYS_MAC, "10.0.0.3")):
        inventory.device_at(mac, address)
        inventory.met.add(mac + address.encode())
    assert len(inventory.met) == 3
    inventory.device_at(ROUTER, "10.0.0.4")
    assert not inventory.met


def test_a_device_with_many_ipv6_addresses_is_no_router_yet(inventory: Inventory) -> None:
    ids = {inventory.device_at(ACME_MAC, f"fd20::{number:x}").device.id for number in range(MAX_IPV6_OF_A_MAC)}
    assert ids == {"office/00:00:5e:00:11:22"}
    assert inventory.device_at(ACME_MAC, "fd20::ffff").device.id == "office/fd20::ffff"


def behind_a_router(inventory: Inventory) -> None:
    for number in range(MAX_ADDRESSES_OF_A_MAC + 1):
        inventory.device_at(ROUTER, f"10.9.0.{number}")


def test_dhcp_joins_an_address_to_the_device_and_moves_it_on(inventory: Inventory) -> None:
    behind_a_router(inventory)
    camera = inventory.device_at(ROUTER, "10.9.1.5")
    assert camera.device.id == "office/10.9.1.5"
    assert inventory.lease("00:00:5e:00:11:22", "10.9.1.5") is camera, "the id under which it was met first stays"
    assert camera.is_camera and camera.device.manufacturer == "acme", "its own prefix speaks now"
    inventory.lease("00:00:5e:00:11:22", "10.9.1.6")
    assert inventory.device_at(ROUTER, "10.9.1.6") is camera, "an address change is the same device"
    inventory.lease("02:ff:ff:00:00:09", "10.9.1.5")
    assert inventory.device_at(ROUTER, "10.9.1.5") is not camera, "who has the old address now is another"
    assert [address for _, address in camera.ends] == ["10.9.1.6"]


def test_a_device_that_was_only_leased_an_address_is_found_there(inventory: Inventory) -> None:
    leased = inventory.lease("00:00:5e:00:11:22", "10.9.1.5")
    behind_a_router(inventory)
    assert inventory.device_at(ROUTER, "10.9.1.5") is leased
    assert inventory.device_at(b"", "10.9.1.5") is leased
    assert inventory.lease("01:00:5e:00:00:01", "10.9.1.7") is None and inventory.lease("x", None) is None


def test_the_two_interfaces_of_a_device_are_one_device(inventory: Inventory) -> None:
    known = inventory.device_at(ACME_MAC, "10.0.0.1")
    assert inventory.join("00:00:5e:00:11:23", "10.0.0.1", (ACME_MAC, "10.0.0.1")) is known
    assert inventory.device_at(bytes.fromhex("00005e001123"), "10.0.0.2") is known


def test_who_says_another_makers_mac_stands_behind_the_one_that_hands_it_on(inventory: Inventory) -> None:
    access_point = inventory.device_at(NOBODYS_MAC, "10.0.0.1")
    camera = inventory.join("00:00:5e:00:11:22", "10.0.0.1", (NOBODYS_MAC, "10.0.0.1"))
    assert camera is not access_point and camera.device.id == "office/00:00:5e:00:11:22"
    assert inventory.device_at(NOBODYS_MAC, "10.0.0.1") is camera


def test_an_address_translator_does_not_become_the_device_that_it_hands_on(inventory: Inventory) -> None:
    translator = inventory.device_at(NOBODYS_MAC, "10.0.0.1")
    inside = inventory.join("00:00:5e:00:11:22", "192.168.7.3", (NOBODYS_MAC, "10.0.0.1"))
    assert inside.is_camera and inventory.device_at(NOBODYS_MAC, "10.0.0.1") is translator


def test_a_flood_of_announced_macs_is_bounded() -> None:
    inventory = Inventory("office", (), max_devices=100)
    for number in range(1_000):
        inventory.join(f"00:{number >> 8:02x}:{number & 255:02x}:00:00:01", None, (NOBODYS_MAC, "10.0.0.1"))
        inventory.lease(f"00:{number >> 8:02x}:{number & 255:02x}:00:00:01", f"10.1.{number >> 8}.{number & 255}")
    assert len(inventory) <= 100 and len(inventory._by_hardware) <= 100 and len(inventory._leases) <= 100
    assert len(inventory._by_end) <= 400 and len(inventory._routers) <= 100 and inventory.evicted


def test_cameras_are_forgotten_last(fingerprints: tuple[Fingerprint, ...]) -> None:
    inventory = Inventory("office", fingerprints, max_devices=10)
    camera = inventory.device_at(ACME_MAC, "10.0.0.1")
    for number in range(50):
        inventory.device_at(b"", f"10.0.1.{number}")
    assert inventory.device_at(ACME_MAC, "10.0.0.1") is camera and len(inventory) == 10


def test_news_are_kept_until_somebody_takes_them(inventory: Inventory) -> None:
    known = inventory.device_at(ACME_MAC, "10.0.0.1")
    assert list(inventory.news.values()) == [known]
    inventory.news.clear()
    inventory.device_at(ACME_MAC, "10.0.0.1")
    assert not inventory.news, "nothing new"
    inventory.device_at(ACME_MAC, "10.0.0.2")
    assert list(inventory.news.values()) == [known], "another address is news"


@pytest.mark.parametrize(
    ("text", "mac"),
    [
        ("00:00:5e:00:11:22", ACME_MAC), ("00-00-5E-00-11-22", ACME_MAC), ("00005e001122", ACME_MAC),
        ("01:00:5e:00:00:01", None), ("00:00:00:00:00:00", None), ("zz:00:5e:00:11:22", None), ("00:00:5e", None),
    ],
)  # fmt: skip
def test_a_mac_is_read_and_what_names_nobody_is_none(text: str, mac: bytes | None) -> None:
    assert read_mac(text) == mac


def test_without_a_mac_or_with_a_groups_the_address_names_the_device(inventory: Inventory) -> None:
    assert inventory.device_at(b"", "10.0.0.1").device.id == "office/10.0.0.1"
    assert inventory.device_at(bytes.fromhex("01005e000001"), "10.0.0.2").device.id == "office/10.0.0.2"


def test_the_same_address_at_two_sites_is_two_devices(fingerprints: tuple[Fingerprint, ...]) -> None:
    ids = {Inventory(site, fingerprints).device_at(b"", "192.168.1.64").device.id for site in ("north", "south")}
    assert ids == {"north/192.168.1.64", "south/192.168.1.64"}


def test_the_inventory_is_bounded_and_counts_what_it_forgets() -> None:
    inventory = Inventory("office", (), max_devices=100)
    for number in range(1_000):
        inventory.device_at(number.to_bytes(6, "big"), f"10.0.{number >> 8}.{number & 255}")
        assert len(inventory) <= 100
    assert inventory.evicted == 900 and len(inventory._by_end) == 100


def test_one_device_with_ever_new_addresses_is_bounded() -> None:
    inventory = Inventory("office", (), max_devices=10)
    for number in range(1_000):
        inventory.device_at(ACME_MAC, f"10.0.{number >> 8}.{number & 255}")
        inventory.join("00:00:5e:00:11:23", None, (ACME_MAC, f"fd20::{number:x}"))
        assert len(inventory) <= 10 and len(inventory._by_end) <= 40


def test_routers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.identify.inventory.MAX_ROUTERS", 3)
    inventory = Inventory("office", ())
    for router in range(10):
        for number in range(MAX_ADDRESSES_OF_A_MAC + 1):
            inventory.device_at(bytes((2, 0, 0, 0, 0, router)), f"10.{router}.0.{number}")
    assert len(inventory._routers) == 4


def test_a_device_that_was_forgotten_is_met_anew_under_its_old_id(fingerprints: tuple[Fingerprint, ...]) -> None:
    inventory = Inventory("office", fingerprints, max_devices=2)
    before = inventory.device_at(NOBODYS_MAC, "10.0.0.1")
    for number in range(5):
        inventory.device_at(b"", f"10.0.1.{number}")
    after = inventory.device_at(NOBODYS_MAC, "10.0.0.1")
    assert after is not before and after.device.id == before.device.id


@pytest.mark.parametrize(
    ("places", "address", "watched"),
    [
        (["10.0.0.0/24"], "10.0.0.1", True),
        (["10.0.1.0/24", "fd20::/64"], "10.0.0.1", False),
        (["fd20::/64"], "fd20::1", True),
        (["10.0.0.1"], "10.0.0.1", True),
        (["02:ff:ff:00:00:01"], "10.0.0.1", True),
        (["02:ff:ff:00:00:02"], "10.0.0.1", False),
        ([], "10.0.0.1", False),
    ],
)
def test_a_device_that_somebody_named_is_watched_whatever_it_is(
    inventory: Inventory, places: list[str], address: str, watched: bool
) -> None:
    inventory.watch(places)
    assert inventory.device_at(NOBODYS_MAC, address).watched == watched


def test_a_device_is_watched_once_it_is_met_where_somebody_named(inventory: Inventory) -> None:
    inventory.watch(["10.0.0.2"])
    assert not inventory.device_at(NOBODYS_MAC, "10.0.0.1").watched
    assert inventory.device_at(NOBODYS_MAC, "10.0.0.2").watched
    assert inventory.device_at(NOBODYS_MAC, "10.0.0.1").watched
