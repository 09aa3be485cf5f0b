"""Names that resemble a maker's and are not known to be the maker's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.fact import EndpointFile, EndpointName, Entity
from rules.lookalike import Lookalikes


def suffix(name: str, role: str = "cloud", match: str = "suffix", confidence: str = "high") -> EndpointName:
    return EndpointName(name=name, match=match, role=role, confidence=confidence, sources=("s",))  # type: ignore[arg-type]


def entity(id: str, *brands: str) -> Entity:
    return Entity(id=id, name=id, kind="company", sources=("s",), confidence="high", brands=brands)


FILES = {
    "hikvision": EndpointFile(
        entity="hikvision",
        endpoint=(suffix("hikvision.com", "website"), suffix("hik-connect.com"), suffix("hikvisioneurope.com")),
    ),
    "dahua": EndpointFile(
        entity="dahua",
        endpoint=(
            suffix("dahuatech.com", "website"),
            suffix("dahuaddns.com"),
            suffix("maker-bucket.s3.hosting.com", match="exact"),
            suffix("dahuarumour.com", confidence="low"),
        ),
    ),
    "huawei": EndpointFile(entity="huawei", endpoint=(suffix("huawei.com"), suffix("hicloud.com"))),
}
ENTITIES = {"hikvision": entity("hikvision", "Hikvision (brand)"), "dahua": entity("dahua"), "huawei": entity("huawei")}


SHARED = Lookalikes(FILES, ENTITIES)


@pytest.fixture
def lookalikes() -> Lookalikes:
    return SHARED


@pytest.mark.parametrize(
    ("name", "resembles", "method"),
    [
        ("dahuatec.xyz", "dahuatech.com", "edit_distance"),
        ("cdn.eu.dahuatec.xyz", "dahuatech.com", "edit_distance"),
        ("hikvisoin.net", "hikvision.com", "edit_distance"),
        ("hukvisiom.com", "hikvision.com", "edit_distance"),
        ("hikvysion-update.com", "hikvision.com", "edit_distance"),
        ("edahua.top", "dahuatech.com", "containment"),
        ("my-hik-vision-shop.com", "hikvision.com", "containment"),
        ("hikconnect-login.com", "hik-connect.com", "containment"),
        ("hikvision.co.uk", "hikvision.com", "other_suffix"),
        ("www.hikvision.top", "hikvision.com", "other_suffix"),
        ("hikvisi0n.com", "hikvision.com", "homoglyph"),
        ("h1kv1s1on.com", "hikvision.com", "homoglyph"),
        ("xn--hkvision-21a.com", "hikvision.com", "homoglyph"),
        ("xn--dahutech-46g.com", "dahuatech.com", "homoglyph"),
        ("hauwei.com", "huawei.com", "edit_distance"),
    ],
)
def test_a_name_that_resembles_a_makers_is_found(
    lookalikes: Lookalikes, name: str, resembles: str, method: str
) -> None:
    found = lookalikes.resembles(name)
    assert found is not None
    assert (found.resembles, found.method) == (resembles, method)


@pytest.mark.parametrize(
    "name",
    [
        "icloud.com", "division.com", "univision.com", "television.net", "www.wikipedia.org", "hik.com", "dahlia.com",
        "hikvision.github.io", "hikvision.lan", "hikvision.local", "hikvision", "com", "co.uk", "", ".", "a..b",
        "x.hosting.com", "hikvision.hosting.com", "huawei.net", "myhuawei.shop", "sidahuaxe.com",
    ],
)  # fmt: skip
def test_a_name_that_is_somebody_elses_is_not(lookalikes: Lookalikes, name: str) -> None:
    assert lookalikes.resembles(name) is None


def test_a_known_domain_is_no_lookalike_even_of_another_maker(lookalikes: Lookalikes) -> None:
    for name in ("hikvisioneurope.com", "x.dahuaddns.com", "dahuarumour.com", "other.s3.hosting.com"):
        assert lookalikes.resembles(name) is None


def test_the_finding_names_the_registrable_domain(lookalikes: Lookalikes) -> None:
    found = lookalikes.resembles("a.b.hikvision.co.uk")
    assert found is not None
    assert found.name == "hikvision.co.uk"


@given(st.text(alphabet="abhikvsdu0-.xn", max_size=40))
def test_any_name_gets_a_verdict(name: str) -> None:
    SHARED.resembles(name)


def test_without_facts_nothing_resembles_anything() -> None:
    assert Lookalikes({}, {}).resembles("hikvision.top") is None
