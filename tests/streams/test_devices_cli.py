"""`lenswatch devices` after the demo: list, sort, filter, show, forget; and what cannot be found is one line."""

from pathlib import Path

import msgspec
import pytest

from tests.streams.command import OFFICE, Ran, run


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    assert run("demo", "--folder", folder / "demo", state=folder).code == 0
    return folder


def ids(ran: Ran) -> list[str]:
    assert ran.code == 0, ran.err
    return [msgspec.json.decode(line)["id"] for line in ran.out.splitlines()]


def test_the_cameras_of_the_office_are_listed_and_nobody_else(state: Path) -> None:
    told = run("devices", "--json", state=state)
    assert len(ids(told)) == 5
    documents = [msgspec.json.decode(line) for line in told.out.splitlines()]
    assert {each["identity"]["type"] for each in documents} == {"camera"}
    assert all(each["addresses"] and each["called"] for each in documents)
    table = run("devices", state=state).out
    assert "Xiongmai" in table and "US-FCC" in table


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--maker", "dahua"), 2), (("--maker", "HIKVISION"), 2), (("--maker", "nobody"), 0),
        (("--programme", "us-ns-cmic"), 2), (("--programme", "US-FCC"), 4), (("--site", "demo"), 5),
        (("--site", "x"), 0),
        (("--kind", "camera"), 5), (("--kind", "recorder"), 0),
    ],
)  # fmt: skip
def test_devices_are_asked_for_by_maker_programme_site_and_kind(
    state: Path, options: tuple[str, ...], count: int
) -> None:
    assert len(ids(run("devices", "--json", *options, state=state))) == count


def test_devices_are_sorted_by_a_key_and_an_unknown_key_is_named(state: Path) -> None:
    assert ids(run("devices", "--json", "--sort", "id", state=state)) == sorted(
        ids(run("devices", "--json", state=state))
    )
    wrong = run("devices", "--sort", "colour", state=state)
    assert wrong.code == 2 and "last-seen" in wrong.complaints[0] and len(wrong.complaints) == 1


def test_one_devices_story_is_on_one_page(state: Path) -> None:
    told = run("devices", "show", "10.20.8.21", state=state)
    assert told.code == 0 and len(told.out.splitlines()) < 60
    for words in ("Hikvision", "evidence", "litedev.hik-connect.com", "sent", "alerts", "high: Camera 10.20.8.21"):
        assert words in told.out
    whole = run("devices", "show", "10.20.8.21", "--json", state=state)
    assert msgspec.json.decode(whole.out)["addresses"] == ["10.20.8.21"]


def test_the_update_clock_of_a_device_is_told_on_its_page_and_in_the_list(state: Path) -> None:
    told = run("devices", "show", "10.20.8.23", state=state)
    assert "for updates last 2026-11-02" in told.out
    assert "days ago" in told.out or "today" in told.out
    clock = msgspec.json.decode(run("devices", "show", "10.20.8.23", "--json", state=state).out)["update_clock"]
    assert clock["origin"] == "maker"
    assert clock["updated_by"]
    assert clock["days_since_updated"] >= 0
    never = msgspec.json.decode(run("devices", "show", "10.20.8.21", "--json", state=state).out)["update_clock"]
    assert never == {"days_since_checked": None, "days_since_updated": None}
    assert ids(run("devices", "--json", "--sort", "updated", state=state))


def test_what_fits_none_or_several_is_one_line(state: Path) -> None:
    none, several = (run("devices", "show", text, state=state) for text in ("nobody", "demo/"))
    assert (none.code, several.code) == (1, 1)
    assert "no device of this id is kept" in none.complaints[0] and "5 devices fit" in several.complaints[0]


def test_a_forgotten_device_is_gone_and_its_alerts_stay(tmp_path: Path) -> None:
    assert run("demo", "--folder", tmp_path / "demo", state=tmp_path).code == 0
    before = run("alerts", "--json", state=tmp_path).out
    assert "is forgotten" in run("devices", "forget", "10.20.8.24", state=tmp_path).out
    assert len(ids(run("devices", "--json", state=tmp_path))) == 4
    assert run("devices", "forget", "10.20.8.24", state=tmp_path).code == 1
    assert run("alerts", "--json", state=tmp_path).out == before


def test_a_device_that_is_forgotten_with_its_alerts_is_in_no_file_any_more(tmp_path: Path) -> None:
    config = tmp_path / "lenswatch.toml"
    hook = '[sinks.soc]\nkind = "webhook"\nurl = "http://127.0.0.1:9/"\nsecret_file = "{}"\n'
    secret = tmp_path / "secret"
    secret.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    secret.chmod(0o600)
    config.write_text(f"[watch]\ndrain_seconds = 0.1\n{hook.format(secret)}allow = ['127.0.0.1']\n")
    assert "alerts wait" in run("watch", OFFICE, "--config", config, state=tmp_path).err
    signs = (b"02:12:5e:5e:44:04", b"10.20.8.24", bytes.fromhex("02125e5e4404"), bytes((10, 20, 8, 24)))

    def holds() -> set[str]:
        files = [path for path in (tmp_path / "lenswatch").rglob("*") if path.is_file()]
        return {path.name for path in files if any(sign in path.read_bytes() for sign in signs)}

    assert any(name.endswith(".evidence") for name in holds())
    assert {"alerts.sqlite", "devices.sqlite", "outbox.sqlite"} <= {name.removesuffix("-wal") for name in holds()}
    told = run("devices", "forget", "10.20.8.24", "--alerts", "--config", config, state=tmp_path)
    assert "is forgotten, with 4 alerts, 8 that" in told.out and holds() == set()
    assert len(ids(run("devices", "--json", state=tmp_path))) == 4


def test_a_device_that_only_alerts_tell_of_is_forgotten_by_its_whole_id(tmp_path: Path) -> None:
    assert run("watch", OFFICE, "--alerts", tmp_path / "told.jsonl", state=tmp_path).code == 0
    lines = (tmp_path / "told.jsonl").read_bytes().splitlines()
    documents = [msgspec.json.decode(line) for line in lines]
    (laptop, *_) = [each["device"]["id"] for each in documents if each["source"]["ip"] == "10.20.16.41"]
    assert run("devices", "forget", laptop, state=tmp_path).code == 1
    told = run("devices", "forget", laptop, "--alerts", state=tmp_path)
    assert told.code == 0 and "with 1 alerts" in told.out
    assert "10.20.16.41" not in run("alerts", "--json", state=tmp_path).out


def test_where_nothing_was_watched_the_list_says_how_to_begin(tmp_path: Path) -> None:
    told = run("devices", state=tmp_path)
    assert told.code == 0 and "no devices are kept yet; `lenswatch watch SOURCE…` finds them" in told.out
