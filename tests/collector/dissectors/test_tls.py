"""ClientHellos in records and segments cut anywhere, their fingerprints, and where the reading stops."""

import dataclasses
import hashlib

import pytest

from collector.certificate import MAX_CERTIFICATE_BYTES
from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER, Fact
from collector.dissectors.tls import (
    MAX_EXTENSIONS,
    MAX_HELLO_BYTES,
    RETRY_RANDOM,
    ClientHello,
    TlsDissection,
    ja3,
    ja4,
    read_client_hello,
    read_fact,
    read_server_version,
    recognises,
)
from collector.errors import Malformed
from collector.observation import Tls, TlsClient, TlsOffer
from tests.collector.dissectors.messages import (
    CHROME_CIPHERS,
    CHROME_EXTENSIONS,
    CHROME_SIGNATURES,
    GREASE,
    HELLO,
    alpn,
    block,
    certificates,
    chrome_extensions,
    client_hello,
    extension,
    handshake,
    numbers,
    old_server_hello,
    records,
    server_hello,
    server_name,
    shown,
)

CHROME = ClientHello(
    version=0x0303,
    ciphers=CHROME_CIPHERS,
    extensions=list(CHROME_EXTENSIONS),
    signatures=CHROME_SIGNATURES,
    versions=(0x0304, 0x0303),
    alpn=[b"h2"],
)


def feed(dissection: TlsDissection, direction: int, data: bytes) -> list[Fact]:
    return list(dissection.feed(direction, data))


def heard(body: bytes) -> Fact:
    (fact,) = feed(TlsDissection(), FROM_CLIENT, records(handshake(1, body)))
    assert fact.finish is not None
    fact.finish()
    return fact


def offered(*extensions: bytes, version: int = 0x0303) -> TlsOffer:
    offer = heard(client_hello(extensions=extensions, version=version)).offer
    assert offer is not None
    return offer


def test_a_client_hello_is_all_that_it_offers() -> None:
    body = client_hello()
    hello = read_client_hello(body)
    assert heard(body) == Fact(
        "tls",
        name="camera.example",
        named_by="tls_sni",
        tls=Tls(
            version="1.3",
            next_protocol="h2",
            client=TlsClient(server_name="camera.example", ja3=ja3(hello), ja4="t13d1516h2_8daaf6152771_e5627efa2ab1"),
        ),
        offer=TlsOffer(versions=["1.3", "1.2"], alpn=["h2", "http/1.1"]),
    )


def test_a_client_hello_in_two_segments_is_one_hello() -> None:
    dissection = TlsDissection()
    assert feed(dissection, FROM_CLIENT, HELLO[:300]) == []
    assert [fact.name for fact in feed(dissection, FROM_CLIENT, HELLO[300:])] == ["camera.example"]


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100])
def test_a_client_hello_in_many_records_is_one_hello(size: int) -> None:
    wire = records(handshake(1, client_hello()), size)
    assert [fact.name for fact in feed(TlsDissection(), FROM_CLIENT, wire)] == ["camera.example"]


def test_ja4_is_that_of_the_published_example() -> None:
    assert ja4(CHROME) == "t13d1516h2_8daaf6152771_e5627efa2ab1"
    assert ja4(CHROME, "q") == "q13d1516h2_8daaf6152771_e5627efa2ab1"


def test_ja4_without_signature_algorithms_ends_without_an_underscore() -> None:
    assert ja4(dataclasses.replace(CHROME, signatures=())) == "t13d1516h2_8daaf6152771_6d807ffa2a79"


def test_ja4_and_ja3_do_not_see_grease() -> None:
    greased = ClientHello(
        version=CHROME.version,
        ciphers=(0x0A0A, *CHROME.ciphers),
        extensions=[0xFAFA, *CHROME.extensions, 0x1A1A],
        groups=(0x3A3A,),
        signatures=(0x4A4A, *CHROME.signatures),
        versions=(0xEAEA, *CHROME.versions),
        alpn=[b"\x5a\x5a", *CHROME.alpn],
    )
    assert ja4(greased) == ja4(CHROME)
    assert ja3(greased) == ja3(CHROME)


def test_ja4_does_not_see_the_order_of_ciphers_and_extensions() -> None:
    turned = dataclasses.replace(CHROME, ciphers=CHROME.ciphers[::-1], extensions=CHROME.extensions[::-1])
    assert ja4(turned) == ja4(CHROME)
    assert ja3(turned) != ja3(CHROME)


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        (b"h2", "h2"),
        (b"http/1.1", "h1"),
        (b"h", "hh"),
        (b"", "00"),
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"\x30\xab", "3b"),
        (b"\x30\x31\xab\xcd", "3d"),
        (b"\x30\xab\xcd\x31", "01"),
    ],
)
def test_ja4_shows_the_ends_of_the_first_protocol(protocol: bytes, text: str) -> None:
    assert ja4(ClientHello(0x0303, (), alpn=[protocol, b"zz"]))[8:10] == text


@pytest.mark.parametrize(
    ("version", "versions", "text"),
    [
        (0x0303, (0x0304, 0x0303), "13"),
        (0x0303, (), "12"),
        (0x0302, (), "11"),
        (0x0301, (), "10"),
        (0x0300, (), "s3"),
        (0x0002, (), "s2"),
        (0x0303, (0x7F1C,), "00"),
    ],
)
def test_ja4_has_the_highest_version(version: int, versions: tuple[int, ...], text: str) -> None:
    assert ja4(ClientHello(version, (), versions=versions))[1:3] == text


def test_ja4_of_a_hello_with_nothing_has_zeros_and_no_hashes() -> None:
    assert ja4(ClientHello(0x0303, ())) == "t12i000000_000000000000_000000000000"
    assert ja4(ClientHello(0x0303, (), extensions=[0, 16])) == "t12d000200_000000000000_000000000000"


def test_ja4_counts_only_to_99() -> None:
    many = ClientHello(0x0303, tuple(range(0x100, 0x100 + 120)), extensions=list(range(0x200, 0x200 + 120)))
    assert ja4(many)[4:8] == "9999"


@pytest.mark.parametrize(
    ("hello", "digest"),
    [
        (
            ClientHello(
                769,
                (47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4),
                extensions=[0, 10, 11],
                groups=(23, 24, 25),
                point_formats=b"\0",
            ),
            "ada70206e40642a3e4461f35503241d5",
        ),
        (ClientHello(769, (4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99)), "de350869b8c85de67a350c8d186f11e6"),
    ],
)
def test_ja3_is_that_of_the_published_examples(hello: ClientHello, digest: str) -> None:
    assert ja3(hello) == digest


def test_ja3_of_a_hello_on_the_wire() -> None:
    text = (
        "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,"
        "27-0-51-16-17513-23-45-13-5-35-18-43-65281-11-10-21,29-23-24,0"
    )
    assert ja3(read_client_hello(client_hello())) == hashlib.md5(text.encode()).hexdigest()


def test_a_hello_without_extensions_is_a_fact_without_a_name() -> None:
    body = client_hello(extensions=[], version=0x0301)[:-2]
    fact = heard(body)
    assert (fact.name, fact.named_by) == (None, None)
    assert fact.tls is not None
    assert (fact.tls.version, fact.tls.next_protocol) == ("1.0", None)
    assert fact.offer == TlsOffer(versions=["1.0"])


@pytest.mark.parametrize(
    ("host", "text"),
    [
        (b"Camera.Example", "Camera.Example"),
        (b"a\0b\xff", "a\\000b\\255"),
        (b"back\\slash", "back\\\\slash"),
        (b"192.0.2.1", "192.0.2.1"),
    ],
)
def test_a_server_name_is_as_sent_and_odd_bytes_are_decimal(host: bytes, text: str) -> None:
    assert heard(client_hello(extensions=[server_name(host)])).name == text


def test_a_server_name_of_another_type_is_passed_over() -> None:
    names = extension(0, block(b"\7" + block(b"other") + b"\0" + block(b"host.example")))
    assert heard(client_hello(extensions=[names])).name == "host.example"
    assert heard(client_hello(extensions=[extension(0)])).name is None


@pytest.mark.parametrize(
    ("number", "version"),
    [(0x0304, "1.3"), (0x0303, "1.2"), (0x0302, "1.1"), (0x0301, "1.0"), (0x0300, "3.0"), (0x0299, None)],
)
def test_the_version_is_the_highest_that_is_offered(number: int, version: str | None) -> None:
    fact = heard(client_hello(extensions=[extension(43, block(numbers((GREASE, number)), 1))], version=number))
    assert fact.tls is not None
    assert fact.tls.version == version


def test_versions_without_a_name_are_hexadecimal() -> None:
    assert offered(extension(43, block(numbers((0x7F1C, 0x0303)), 1))).versions == ["0x7f1c", "1.2"]


@pytest.mark.parametrize("kind", [0xFE0D, 0xFFCE])
def test_an_encrypted_client_hello_is_told(kind: int) -> None:
    assert offered(extension(kind, b"\0")).ech is True
    assert offered(extension(0xFE0C, b"\0")).ech is None


def test_grease_is_no_protocol() -> None:
    fact = heard(client_hello(extensions=[alpn(b"\x0a\x0a", b"http/1.1")]))
    assert fact.tls is not None
    assert fact.tls.next_protocol == "http/1.1"


def test_after_the_first_hello_only_the_servers_answer_is_wanted() -> None:
    dissection = TlsDissection()
    feed(dissection, FROM_CLIENT, HELLO)
    assert dissection.wants == [False, True]
    assert feed(dissection, FROM_CLIENT, HELLO) == []
    answer = records(handshake(2, server_hello()))
    assert feed(dissection, FROM_SERVER, answer[:-1]) == []
    assert dissection.wants == [False, True]
    assert feed(dissection, FROM_SERVER, answer[-1:] + b"what is encrypted") == []
    assert dissection.wants == [False, False]


def test_a_retry_request_asks_for_the_second_hello() -> None:
    dissection = TlsDissection()
    feed(dissection, FROM_CLIENT, HELLO)
    feed(dissection, FROM_SERVER, records(handshake(2, server_hello(RETRY_RANDOM))))
    assert dissection.wants == [True, False]
    change = records(b"\1", kind=20)
    second = records(handshake(1, client_hello(extensions=chrome_extensions(b"second.example"))))
    assert [fact.name for fact in feed(dissection, FROM_CLIENT, change + second)] == ["second.example"]
    assert dissection.wants == [False, False]


def test_the_retry_random_is_the_digest_that_rfc_8446_says() -> None:
    assert hashlib.sha256(b"HelloRetryRequest").digest() == RETRY_RANDOM


@pytest.mark.parametrize("wire", [records(b"\2\x28", kind=21), records(b"secret", kind=23), b"HTTP/1.1 400 Bad\r\n"])
def test_another_answer_ends_the_reading(wire: bytes) -> None:
    dissection = TlsDissection()
    feed(dissection, FROM_CLIENT, HELLO)
    assert feed(dissection, FROM_SERVER, wire) == []
    assert dissection.wants == [False, False]


def test_a_connection_that_is_met_at_the_servers_hello_says_nothing() -> None:
    wire = records(handshake(2, server_hello()))
    assert recognises(wire, 443, FROM_SERVER) is True
    dissection = TlsDissection()
    assert feed(dissection, FROM_SERVER, wire) == []
    assert dissection.wants == [True, False]
    assert feed(dissection, FROM_CLIENT, records(b"secret", kind=23)) == []
    assert dissection.wants == [False, False]


def test_a_hello_that_arrives_after_the_servers_is_still_read() -> None:
    dissection = TlsDissection()
    feed(dissection, FROM_SERVER, records(handshake(2, server_hello())))
    assert [fact.name for fact in feed(dissection, FROM_CLIENT, HELLO)] == ["camera.example"]
    assert dissection.wants == [False, False]


def test_who_sends_the_hello_is_the_client_whatever_the_flow_thinks() -> None:
    dissection = TlsDissection()
    (fact,) = feed(dissection, FROM_SERVER, HELLO)
    assert fact.backward is True
    assert dissection.wants == [True, False]
    feed(dissection, FROM_CLIENT, records(handshake(2, server_hello())))
    assert dissection.wants == [False, False]


def lengths_of(body: bytes) -> list[tuple[int, int]]:
    """Where the lengths of the worked example's hello stand: place and size."""
    session, ciphers = 34, 67
    compression = ciphers + 2 + int.from_bytes(body[ciphers : ciphers + 2], "big")
    places = [(session, 1), (ciphers, 2), (compression, 1), (compression + 2, 2)]
    position = compression + 4
    while position < len(body):
        places.append((position + 2, 2))
        kind, size = (int.from_bytes(body[position + at : position + at + 2], "big") for at in (0, 2))
        if kind in (0, 10, 13, 16):
            places.append((position + 4, 2))
        elif kind in (11, 43):
            places.append((position + 4, 1))
        position += 4 + size
    return places


@pytest.mark.parametrize("change", [-1, 1])
def test_a_length_that_is_too_short_or_too_long_is_malformed(change: int) -> None:
    body = client_hello()
    places = lengths_of(body)
    assert len(places) == 27
    for place, size in places:
        value = int.from_bytes(body[place : place + size], "big") + change
        if value < 0:
            continue
        with pytest.raises(Malformed):
            read_fact(body[:place] + value.to_bytes(size, "big") + body[place + size :])


def test_a_hello_that_ends_early_is_malformed() -> None:
    body = client_hello()
    bare = lengths_of(body)[3][0]
    for cut in range(len(body)):
        if cut != bare:
            with pytest.raises(Malformed):
                read_client_hello(body[:cut])


def test_a_hello_that_announces_too_much_is_malformed_at_once() -> None:
    wire = records(b"\1" + (MAX_HELLO_BYTES + 1).to_bytes(3, "big"))
    with pytest.raises(Malformed, match="longer than 65536"):
        feed(TlsDissection(), FROM_CLIENT, wire)


@pytest.mark.parametrize("size", [0, 16_384 + 2_049])
def test_a_record_that_is_empty_or_too_long_is_malformed(size: int) -> None:
    with pytest.raises(Malformed, match="TLS record"):
        feed(TlsDissection(), FROM_CLIENT, b"\x16\3\1" + size.to_bytes(2, "big") + b"\1")


def test_too_many_extensions_are_malformed() -> None:
    several = [extension(0x5000 + number) for number in range(MAX_EXTENSIONS)]
    assert len(read_client_hello(client_hello(extensions=several)).extensions) == MAX_EXTENSIONS
    with pytest.raises(Malformed, match="more than 256"):
        read_client_hello(client_hello(extensions=[*several, extension(1)]))


def test_a_large_hello_comes_in_records_of_one_byte() -> None:
    body = client_hello(extensions=[server_name(b"big.example"), extension(51, bytes(20_000))])
    wire = records(handshake(1, body), 1)
    dissection = TlsDissection()
    facts = [fact for at in range(0, len(wire), 7) for fact in dissection.feed(FROM_CLIENT, wire[at : at + 7])]
    assert [fact.name for fact in facts] == ["big.example"]


@pytest.mark.parametrize(
    "first",
    [
        b"\x80\x2e\x01\x03\x01",
        b"\x17\x03\x03\x00\x20abcdef",
        b"\x16\x03\x05\x00\x20\x01",
        b"\x16\x02\x01\x00\x20\x01",
        b"\x16\x03\x01\x00\x00\x01",
        b"\x16\x03\x01\x00\x20\x10",
        b"\x16\x03\x01\x00\x20\x01\x02\x00\x00",
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_what_is_no_hello_is_not_recognised(first: bytes) -> None:
    assert recognises(first, 443, FROM_CLIENT) is False


def test_the_first_bytes_of_a_hello_are_not_yet() -> None:
    assert [recognises(HELLO[:cut], 443, FROM_CLIENT) for cut in range(8)] == [None] * 6 + [True, True]


OWN, ABOVE = b"\x30its own", b"\x30of who signed it"


@pytest.mark.parametrize("size", [1, 5, 60, 16_384])
def test_a_server_of_tls_1_2_shows_its_own_certificate_and_nothing_behind_it_is_read(size: int) -> None:
    dissection = TlsDissection()
    feed(dissection, FROM_CLIENT, HELLO)
    (fact,) = feed(dissection, FROM_SERVER, shown(OWN, ABOVE, size=size))
    assert fact == Fact("certificate", backward=True, certificate=OWN)
    assert dissection.wants == [False, False]


def test_a_certificate_is_read_though_the_clients_hello_was_not_seen() -> None:
    dissection = TlsDissection()
    assert [fact.certificate for fact in feed(dissection, FROM_SERVER, shown(OWN))] == [OWN]
    assert dissection.wants == [True, False]


@pytest.mark.parametrize(
    "after",
    [
        records(b"\1", kind=20) + records(handshake(11, certificates(OWN))),
        records(handshake(12, b"a key")),
        records(handshake(11, certificates())),
        records(handshake(11, b"\0\0")),
        records(handshake(11, certificates(b""))),
        records(handshake(11, certificates(bytes(MAX_CERTIFICATE_BYTES + 1)))),
        records(handshake(11, block(b"\0\0\xff" + OWN, 3))),
    ],
    ids=["resumed", "none", "empty list", "no list", "empty", "too long", "longer than its list"],
)
def test_where_no_certificate_comes_the_reading_ends(after: bytes) -> None:
    dissection = TlsDissection()
    feed(dissection, FROM_CLIENT, HELLO)
    assert feed(dissection, FROM_SERVER, records(handshake(2, old_server_hello())) + after) == []
    assert dissection.wants == [False, False]


def test_a_certificate_before_any_hello_is_none() -> None:
    dissection = TlsDissection()
    feed(dissection, FROM_CLIENT, HELLO)
    assert feed(dissection, FROM_SERVER, records(handshake(11, certificates(OWN)))) == []
    assert dissection.wants == [False, False]


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (server_hello(), 0x0304),
        (old_server_hello(), 0x0303),
        (old_server_hello(0x0301), 0x0301),
        (old_server_hello()[:38], 0x0303),
        (old_server_hello(extensions=b""), 0x0303),
        (old_server_hello(extensions=extension(43, b"\3")), 0x0303),
    ],
)
def test_the_version_that_a_server_chooses_stands_in_its_extensions_or_before_them(body: bytes, version: int) -> None:
    assert read_server_version(body) == version


@pytest.mark.parametrize(
    "body",
    [
        b"\3\3", server_hello()[:-1], server_hello() + b"x", old_server_hello(extensions=b"\0\x2b\0"),
        old_server_hello(extensions=b"\0\x2b\0\5\3"),
    ],
)  # fmt: skip
def test_a_server_hello_whose_lengths_do_not_fit_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed, match="ServerHello"):
        read_server_version(body)
