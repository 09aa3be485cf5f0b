"""Options mean the same at every command that takes them."""

import pytest

from streams.alerts_cli import list_alerts
from streams.cli import watch
from streams.devices_cli import list_devices
from streams.options import AsJson, Config, Folders


@pytest.mark.parametrize(("option", "name"), [(Config, "--config"), (AsJson, "--json"), (Folders, "--rules")])
def test_an_option_has_one_name_and_says_what_it_does(option: object, name: str) -> None:
    given = option.__metadata__[0]  # type: ignore[attr-defined]
    assert (given.default, *given.param_decls) == (name,) and given.help.endswith(".")


def test_the_commands_take_the_same_ones() -> None:
    assert watch.__annotations__["config"] is Config and watch.__annotations__["folders"] is Folders
    for command in (list_alerts, list_devices):
        assert command.__annotations__["config"] is Config and command.__annotations__["as_json"] is AsJson
