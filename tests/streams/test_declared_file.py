"""Lists of declared devices: our columns, NetBox's, what spreadsheets make of them; and what is wrong in one line."""

from pathlib import Path

import pytest

from collector.errors import SettingsError
from collector.observation import Declared
from streams.declared_file import read_declared
from tests.streams.command import OFFICE, run

OURS = """address,mac,name,site,maker,model,owner,use class
10.0.0.11,44:19:B6:00:00:01,lobby,hq,Hikvision,DS-2CD2143G2-I,facilities,security
10.1.0.0/24,,,branch,,,,
,3cef.8c00.0002,"gate, north",hq,Dahua,,,
fd20::11,,six,,,,,
"""
NETBOX = """name;status;tenant;role;manufacturer;device_type;serial;site;primary_ip4;mac_address
cam-01;active;Facilities;camera;Axis;P3265;AX1;HQ;10.0.0.21/24;AC-CC-8E-00-00-21

cam-02;active;;camera;Axis;P3265;AX2;HQ;10.0.0.0/24;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cameras.csv"


def test_our_own_columns_are_read(path: Path) -> None:
    path.write_text(OURS, "utf-8-sig")
    first, network, gate, six = read_declared(path)
    assert first == Declared(
        address="10.0.0.11", mac="44:19:b6:00:00:01", name="lobby", site="hq", maker="Hikvision",
        model="DS-2CD2143G2-I", owner="facilities", use_class="security",
    )  # fmt: skip
    assert network == Declared(network="10.1.0.0/24", site="branch")
    assert (gate.mac, gate.name, gate.address) == ("3c:ef:8c:00:00:02", "gate, north", None)
    assert six.address == "fd20::11"


def test_a_netbox_export_is_read_an_interfaces_address_being_no_network(path: Path) -> None:
    path.write_text(NETBOX.replace("\n", "\r\n"), "utf-8")
    one, two = read_declared(path)
    assert (one.address, one.network, one.mac, one.maker, one.model, one.owner, one.use_class) == (
        "10.0.0.21", None, "ac:cc:8e:00:00:21", "Axis", "P3265", "Facilities", "camera",
    )  # fmt: skip
    assert (two.address, two.network) == (None, "10.0.0.0/24")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: no column address or mac; name the columns"),
        ("name,site\na,b\n", "line 1: no column address or mac"),
        ("address\n10.0.0.256\n", "line 2: '10.0.0.256' is neither an address nor a network; write 10.0.0.7"),
        ("address\n\n10.0.0.1/33\n", "line 3: '10.0.0.1/33' is neither"),
        ("mac\n44:19:b6\n", "line 2: '44:19:b6' is no MAC address; write 44:19:b6:00:00:01"),
        ("address,name\n,lobby\n", "line 2: neither an address nor a MAC; give the device one"),
        ("address\n10.0.0.1\n10.0.0.2\n10.0.0.1\n", "line 4: 10.0.0.1 stands in line 2 too; keep one"),
        ('address,name\n10.0.0.1,"a"b\n', "line 2: is no CSV: "),
    ],
)
def test_a_wrong_list_is_one_line_with_file_line_and_mend(path: Path, text: str, reason: str) -> None:
    path.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        read_declared(path)
    assert str(caught.value).startswith(f"{path}: {reason}") and "\n" not in str(caught.value)


def test_the_same_address_at_two_sites_is_two_devices(path: Path) -> None:
    path.write_text("address,site\n192.168.1.64,a\n192.168.1.64,b\n", "utf-8")
    assert [each.site for each in read_declared(path)] == ["a", "b"]


def test_a_list_that_cannot_be_read_is_named(path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cameras.csv: cannot be read: No such file"):
        read_declared(path)
    path.write_bytes(b"address\n\xff\n")
    with pytest.raises(SettingsError, match=r"cameras.csv: byte 8: is not UTF-8"):
        read_declared(path)


def test_a_watch_with_a_list_tells_the_differences_as_alerts(path: Path, tmp_path: Path) -> None:
    path.write_text(
        "address,name,maker\n10.20.8.21,lobby,Hikvision\n10.20.8.22,gate,Axis\n10.20.8.23,yard,\n10.20.8.24,,\n"
        "10.20.99.1,spare,\n",
        "utf-8",
    )
    told = run("watch", OFFICE, "--inventory", path, "--alerts", "-", state=tmp_path)
    assert told.code == 0, told.err
    messages = {alert.rule.name: alert for alert in told.alerts if "eclared" in alert.rule.name}
    assert messages.keys() == {"Camera that nobody declared", "Device is of another maker than declared"}
    assert "10.20.8.10" in messages["Camera that nobody declared"].message
    assert "declared as gate (Axis)" in messages["Device is of another maker than declared"].message
    assert "inventory     5 declared, 4 seen (1 maker differs, 1 undeclared)" in told.err
    path.write_text("address\nnowhere\n", "utf-8")
    wrong = run("watch", OFFICE, "--inventory", path, state=tmp_path)
    assert wrong.code == 2 and wrong.complaints == [
        f"lenswatch: {path}: line 2: 'nowhere' is neither an address nor a network; write 10.0.0.7 or 10.0.0.0/24"
    ]
