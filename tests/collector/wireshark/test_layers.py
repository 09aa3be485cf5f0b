"""What tshark says of a packet, as pyshark hands it over."""

from types import SimpleNamespace

import pytest

from collector.wireshark.layers import bytes_of, layers_of, number_of, protocols_of

PDML = b"""
<packet>
  <proto name="geninfo"><field name="num" show="1" value="1"/><field name="len" show="2" value="2"/>
    <field name="caplen" show="2" value="2"/><field name="timestamp" show="now" value="1.5"/></proto>
  <proto name="frame"><field name="filtered" value="frame"/></proto>
  <proto name="http" pos="54">
    <field name="" show="GET / HTTP/1.1\\r\\n" pos="54" size="16" value="474554202f20485454502f312e310d0a">
      <field name="http.request.method" show="GET" pos="54" size="3" value="474554"/></field>
    <field name="http.unknown_header" show="B: 2\\r\\n" pos="76" size="6" value="423a20320d0a"/>
    <field name="http.host" show="a" pos="70" size="6" value="413a20310d0a"/>
    <field name="http.request.line" show="A: 1" pos="70" size="6" value="413a20310d0a"/>
    <field name="" show="\\r\\n" pos="82" size="2" value="0d0a"/>
    <field name="http.chunk" show="behind" pos="84" size="8" value="626568696e640d0a"/>
    <field name="http.numbers" show="7" value="07"/><field name="http.numbers" show="0x10" value="10"/>
    <field name="http.numbers" show="none" value="zz"/>
  </proto>
</packet>"""


def test_protocols_are_told_without_a_parser() -> None:
    assert protocols_of(PDML) == ["geninfo", "frame", "http"]
    assert protocols_of(b"") == []


def test_the_lines_of_a_head_come_in_the_order_of_their_bytes_each_once() -> None:
    [layer] = layers_of(PDML)
    assert layer.name == "http"
    assert layer.head() == (b"GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\n", 84)


def test_a_field_is_had_as_text_number_or_bytes() -> None:
    [layer] = layers_of(PDML)
    assert (layer.text("http.host"), layer.raw("http.request.method")) == ("a", b"GET")
    assert (layer.number("http.numbers"), layer.numbers("http.numbers")) == (7, (7, 16))
    assert layer.text("http.none") is layer.raw("http.none") is layer.number("http.none") is None


@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), ("0x0c", 12), ("True", 1), ("False", 0), ("", None), (None, None), ("a", None)]
)
def test_a_number_is_read_as_wireshark_writes_it(text: str | None, number: int | None) -> None:
    assert number_of(text) == number


def test_bytes_that_are_no_hex_are_none() -> None:
    assert bytes_of(SimpleNamespace(raw_value="zz")) == bytes_of(SimpleNamespace(raw_value=None)) == b""
