"""Names match on label boundaries only, and the longest match wins."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import endpoints
from rules.endpoints import EndpointIndex, is_below, is_host_name, normalise_name
from rules.fact import BulkList, EndpointFile, EndpointName, NetworkAddress, NotTheCompany
from rules.factbook import Facts
from rules.load import index_endpoints

LABEL = st.text(alphabet="ab", min_size=1, max_size=2)
NAME = st.lists(LABEL, min_size=1, max_size=5).map(".".join)
BULK = BulkList(file="list.txt", role="cloud", confidence="medium", sources=("paper",))


def name(text: str, match: str = "suffix", role: str = "cloud", under: tuple[str, ...] = ()) -> EndpointName:
    return EndpointName(name=text, match=match, role=role, confidence="high", sources=("s",), under=under)


def index_of(*names: EndpointName) -> EndpointIndex:
    index = EndpointIndex()
    index.add_file(EndpointFile(entity="maker", endpoint=names))
    return index.seal()


def pattern_of(index: EndpointIndex, asked: str) -> str | None:
    found = index.match_name(asked)
    return f"{found.match} {found.pattern}" if found else None


@given(st.lists(st.tuples(NAME, st.sampled_from(["suffix", "exact"])), max_size=12), NAME)
def test_the_longest_match_wins_as_a_scan_over_all_names_says(facts: list[tuple[str, str]], asked: str) -> None:
    index = index_of(*(name(text, match) for text, match in dict.fromkeys(facts)))
    best = None
    for text, match in facts:
        if text == asked if match == "exact" else is_below(asked, text):
            key = (match == "exact", text.count("."))
            best = max(best or (key, ""), (key, f"{match} {text}"))
    assert pattern_of(index, asked) == (best[1] if best else None)


def test_a_name_that_only_ends_with_the_same_letters_is_another() -> None:
    index = index_of(name("dahuatech.com"), name("hiddns.com"), name("cloud.uniview.com"))
    for asked in (
        "dahuatech.com.evil.top",
        "notdahuatech.com",
        "chiddns.com",
        "xcloud.uniview.com",
        "uniview.com",
        "com",
    ):
        assert index.match_name(asked) is None
    assert pattern_of(index, "a.b.dahuatech.com") == "suffix dahuatech.com"


def test_exact_beats_regex_beats_suffix_of_the_whole_name() -> None:
    regex = name(r"^api\.maker\.com$", "regex", "p2p", ("maker.com",))
    suffix, exact = name("api.maker.com"), name("api.maker.com", "exact", "relay")
    assert pattern_of(index_of(suffix, regex, exact), "api.maker.com") == "exact api.maker.com"
    assert pattern_of(index_of(suffix, regex), "api.maker.com") == r"regex ^api\.maker\.com$"
    assert pattern_of(index_of(suffix, regex), "x.api.maker.com") == "suffix api.maker.com"


def test_a_regex_is_asked_only_at_or_below_its_names_and_for_the_whole_name() -> None:
    index = index_of(name(r"api[a-z]*\..*", "regex", "p2p", ("maker.com", "maker.cn")))
    assert pattern_of(index, "apieu.maker.cn") == r"regex api[a-z]*\..*"
    assert index.match_name("api.other.com") is None
    assert index.match_name("api.notmaker.com") is None
    assert index.match_name("x.api.maker.com") is None


def test_an_exact_name_says_nothing_of_what_is_below_it() -> None:
    index = index_of(name("storage.s3.hosting.com", "exact"))
    assert index.match_name("storage.s3.hosting.com") is not None
    assert index.match_name("a.storage.s3.hosting.com") is None
    assert index.match_name("hosting.com") is None


def test_a_customers_host_below_a_dynamic_dns_zone_is_the_customers() -> None:
    index = index_of(name("quickddns.com", role="ddns"), name("push.quickddns.com", "exact", "push"))
    roles = {asked: found.role for asked in ("quickddns.com", "www.quickddns.com", "shop.quickddns.com",
             "www.shop.quickddns.com", "push.quickddns.com") if (found := index.match_name(asked))}  # fmt: skip
    assert roles == {
        "quickddns.com": "ddns",
        "www.quickddns.com": "ddns",
        "shop.quickddns.com": "ddns_customer",
        "www.shop.quickddns.com": "ddns_customer",
        "push.quickddns.com": "push",
    }


def test_a_rejected_name_matches_nothing_whatever_another_fact_says() -> None:
    index = EndpointIndex()
    index.add_file(
        EndpointFile(
            entity="maker",
            endpoint=(
                name("maker.com"),
                name("update.maker.com", "exact"),
                name("eu.update.maker.com"),
                name(r".*\.maker\.com", "regex", "p2p", ("maker.com",)),
            ),
        )
    )
    fact = NotTheCompany(looks_like="maker", reason="a guess", sources=("s",), names=("Update.Maker.com.", "makr.com"))
    index.reject(fact)
    index.seal()
    for asked in ("update.maker.com", "eu.update.maker.com", "makr.com", "www.makr.com"):
        assert index.match_name(asked) is None
        assert index.rejection(asked) is fact
    assert index.match_name("maker.com") is not None
    assert index.rejection("maker.com") is None
    assert index.rejection("anything.else") is None


def test_a_top_level_name_is_matched_too() -> None:
    index = index_of(name("hikvision"), name("tv.hikvision"))
    assert pattern_of(index, "a.b.hikvision") == "suffix hikvision"
    assert pattern_of(index, "hikvision") == "suffix hikvision"
    assert pattern_of(index, "x.tv.hikvision") == "suffix tv.hikvision"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("WWW.Dahua.COM.", "www.dahua.com"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("B\u00dcCHER.example.", "xn--bcher-kva.example"),
        ("a\u3002b", "a.b"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("\u2764.\ud800", "\u2764.\ud800"),
        ("", ""),
        (".", ""),
    ],
)
def test_case_last_dot_and_international_labels_are_normalised(text: str, normal: str) -> None:
    assert normalise_name(text) == normal


@given(st.text(max_size=30))
def test_any_text_can_be_normalised_and_looked_up(text: str) -> None:
    index = index_of(name("a.b"), name("a.b.c", "exact"))
    normal = normalise_name(text)
    index.match_name(normal)
    index.rejection(normal)
    index.match_address(text)


@pytest.mark.parametrize(
    "text", ["", "a..b", "-a.b", "a-.b", "a b.c", "a" * 64 + ".com", ".".join(["a" * 60] * 5), "a/b"]
)
def test_what_is_no_host_name_is_refused(text: str) -> None:
    assert not is_host_name(text)
    with pytest.raises(ValueError, match="no host name"):
        index_of(name(text))


def test_a_network_fact_answers_for_its_addresses() -> None:
    index = EndpointIndex()
    network = NetworkAddress(network="198.51.100.0/24", role="relay", confidence="medium", sources=("s",), note="n")
    index.add_file(EndpointFile(entity="maker", network=(network,)))
    assert not EndpointIndex().has_networks
    index.seal()
    found = index.match_address("198.51.100.7")
    assert found is not None
    assert (found.entity, found.role, found.pattern, found.match, found.note) == (
        "maker", "relay", "198.51.100.0/24", "network", "n",
    )  # fmt: skip
    assert index.has_networks
    assert index.match_address("198.51.101.7") is None


def test_a_list_holds_names_and_networks_a_line_each() -> None:
    index = EndpointIndex()
    lines = [
        "# a list",
        "",
        "Cloud.Example.COM.  # its cloud",
        "198.51.100.0/24",
        "2001:db8::1",
        "203.0.113.9",
        "a.b.c.d.example",
    ]
    index.add_list("maker", BULK, lines)
    index.seal()
    assert index.size == 5
    assert pattern_of(index, "eu.cloud.example.com") == "suffix cloud.example.com"
    assert pattern_of(index, "x.a.b.c.d.example") == "suffix a.b.c.d.example"
    for address, pattern in (
        ("198.51.100.9", "198.51.100.0/24"),
        ("2001:db8::1", "2001:db8::1"),
        ("203.0.113.9", "203.0.113.9"),
    ):
        found = index.match_address(address)
        assert found is not None
        assert (found.entity, found.pattern, found.sources) == ("maker", pattern, ("paper",))


def test_a_list_of_exact_names_says_nothing_of_what_is_below_them() -> None:
    index = EndpointIndex()
    index.add_list(
        "maker", BulkList(file="l", role="ddns", confidence="low", sources=("s",), match="exact"), ["a.example.com"]
    )
    assert index.match_name("a.example.com") is not None
    assert index.match_name("b.a.example.com") is None


def test_a_customers_host_below_a_listed_dynamic_dns_zone_is_the_customers() -> None:
    index = EndpointIndex()
    index.add_list("maker", BulkList(file="l", role="ddns", confidence="low", sources=("s",)), ["zone.example"])
    roles = [
        found.role
        for asked in ("zone.example", "www.zone.example", "x.zone.example")
        if (found := index.match_name(asked))
    ]
    assert roles == ["ddns", "ddns", "ddns_customer"]


def test_a_fact_of_its_own_says_more_than_a_line_of_a_list() -> None:
    index = index_of(name("maker.com", role="website"), name("a.maker.com", role="push"))
    index.add_list("list", BULK, ["maker.com", "a.maker.com", "b.maker.com"])
    entities = [
        found.entity for asked in ("maker.com", "x.a.maker.com", "b.maker.com") if (found := index.match_name(asked))
    ]
    assert entities == ["maker", "maker", "list"]


@pytest.mark.parametrize("line", ["no name!", "198.51.100.1/24", "1.2.3.4.5", "a..b"])
def test_a_line_that_is_neither_name_nor_network_is_named(line: str) -> None:
    with pytest.raises(ValueError, match=r"^line 2: "):
        EndpointIndex().add_list("maker", BULK, ["fine.example", line])


def test_many_names_are_each_found_and_their_neighbours_are_not() -> None:
    dice = random.Random(5)
    names = {".".join(dice.choices("abcdefgh", k=dice.randint(2, 5))) for _ in range(5_000)}
    index = EndpointIndex()
    index.add_list("maker", BULK, sorted(names))
    for text in names:
        found = index.match_name(f"x.{text}")
        assert found is not None
        assert is_below(f"x.{text}", found.pattern)
        assert found.pattern in names
    assert index.match_name("z.z") is None


def test_the_index_of_facts_holds_names_networks_and_rejections(facts: Facts) -> None:
    index = index_endpoints(facts)
    assert index.match_name("cloud.acme.example") is not None
    assert index.match_address("198.51.100.1") is not None
    assert index.rejection("bad.acme.example") is not None


FACTS = st.lists(st.tuples(NAME, st.sampled_from(["suffix", "exact"])), max_size=6)
LINES = st.lists(
    st.one_of(NAME, st.sampled_from(["192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "A.B.", "a.b1"])), max_size=20
)


@given(FACTS, st.lists(st.tuples(LINES, st.sampled_from(["suffix", "exact"])), max_size=3), st.lists(NAME, max_size=2))
def test_what_goes_in_all_at_once_is_found_as_what_goes_in_line_by_line(
    facts: list[tuple[str, str]], lists: list[tuple[list[str], str]], rejected: list[str]
) -> None:
    found = []
    # A line with a remark is none of those that go in all at once.
    for remark in ("", "  # x"):
        index = EndpointIndex()
        own = tuple(name(text, match) for text, match in dict.fromkeys(facts))
        index.add_file(EndpointFile(entity="maker", endpoint=own))
        for number, (lines, match) in enumerate(lists):
            bulk = BulkList(file="f", role="cloud", confidence="low", sources=("paper",), match=match)
            index.add_list(f"list-{number}", bulk, [f"{line}{remark}" for line in lines])
        for text in rejected:
            index.reject(NotTheCompany(names=(text,), looks_like="maker", reason="r", sources=("s",)))
        found.append(index.seal())
    one, other = found
    asked = {text for text, _ in facts} | {line for lines, _ in lists for line in lines} | set(rejected)
    asked |= {f"b.{text}" for text in asked} | {text.partition(".")[2] for text in asked} | {"a.a.a.a.a.a"}
    assert one.size == other.size
    for text in map(normalise_name, asked):
        assert one.match_name(text) == other.match_name(text), text
        assert one.rejection(text) == other.rejection(text) and one.knows_zone(text) == other.knows_zone(text)
        assert one.match_address(text) == other.match_address(text)


@pytest.mark.parametrize(
    "text", ["a..b", "-a.b", "a.b-", "a_.b", "a.b.", ".a.b", "a b.c", "ä.b", "a.b\n", "1.2.3.4x", "x" * 64 + ".b"]
)
def test_only_what_is_a_host_name_as_it_is_compared_goes_in_without_a_second_look(text: str) -> None:
    plain = endpoints._PLAIN_NAME(text) is not None
    assert not plain or (normalise_name(text) == text and is_host_name(text) and "." in text)
