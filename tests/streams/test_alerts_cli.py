"""`lenswatch alerts` and `rules explain`, as their user meets them."""

from pathlib import Path

from streams.processors.canary import is_canary
from tests.streams.command import OFFICE, Ran, read_alerts, run


def test_alerts_are_listed_the_gravest_first(watched: tuple[Ran, Path]) -> None:
    kept = run("alerts", "--json", state=watched[1]).alerts
    assert len(kept) == 12
    assert [alert.event.severity for alert in kept] == sorted((alert.event.severity for alert in kept), reverse=True)
    assert run("alerts", state=watched[1]).out == watched[0].out


def test_canaries_go_to_every_output_and_are_no_alerts_that_a_person_is_shown(tmp_path: Path) -> None:
    often = {"LENSWATCH_COLLECTOR_CANARY_SECONDS": "0.000001"}
    lines = tmp_path / "alerts.jsonl"
    ran = run("watch", OFFICE, "--alerts", lines, state=tmp_path / "state", **often)
    assert ran.code == 0 and any(map(is_canary, read_alerts(lines.read_text("utf-8"))))
    assert "alerts        12 (" in ran.err and "Canary" not in ran.out
    assert len(run("alerts", "--json", state=tmp_path / "state").alerts) == 12
    assert "12 kept" in run("doctor", state=tmp_path / "state").out


def test_without_a_run_there_are_no_alerts_and_nothing_is_written(tmp_path: Path) -> None:
    ran = run("alerts", state=tmp_path)
    assert (ran.code, ran.out) == (0, "no alerts are kept yet\n")
    assert list(tmp_path.iterdir()) == []


def test_show_tells_one_alert_by_the_first_digits_of_its_id(watched: tuple[Ran, Path]) -> None:
    alert = run("alerts", "--json", state=watched[1]).alerts[0]
    short = run("alerts", "show", alert.event.id[:8].upper(), state=watched[1])
    assert short.code == 0 and alert.event.id in short.out
    whole = run("alerts", "show", alert.event.id, "--json", state=watched[1])
    assert read_alerts(whole.out.replace("\n", "")) == [alert]


def test_show_refuses_an_unknown_and_an_ambiguous_id(watched: tuple[Ran, Path]) -> None:
    unknown = run("alerts", "show", "ffffffffffff", state=watched[1])
    assert unknown.code == 1 and unknown.complaints == [
        "lenswatch: ffffffffffff: no alert with this id is kept; `lenswatch alerts` lists them"
    ]
    ids = [alert.event.id for alert in run("alerts", "--json", state=watched[1]).alerts]
    digit = next(digit for digit in "0123456789abcdef" if sum(each.startswith(digit) for each in ids) > 1)
    ambiguous = run("alerts", "show", digit, state=watched[1])
    assert ambiguous.code == 1 and len(ambiguous.complaints) == 1 and "give more of the id" in ambiguous.err


def test_explain_walks_from_the_packet_to_each_listings_source(watched: tuple[Ran, Path]) -> None:
    from rules.load import load_rules

    sources = load_rules().facts.sources
    alerts = run("alerts", "--json", state=watched[1]).alerts
    alert = next(each for each in alerts if each.lenswatch.domain_source and each.lenswatch.listings)
    ran = run("rules", "explain", alert.event.id[:10], state=watched[1])
    assert ran.code == 0 and ran.err == ""
    detail = alert.lenswatch
    assert detail.endpoint is not None and detail.entity is not None and detail.listings is not None
    text = " ".join(ran.out.split())
    chain = [alert.message, alert.rule.id, alert.network.community_id, detail.endpoint.pattern, detail.entity.name]
    chain += [each.citation for each in detail.listings]
    places = [text.find(" ".join(each.split())) for each in chain]
    assert -1 not in places
    named = [*detail.endpoint.sources, *(source for each in detail.listings for source in each.sources)]
    for source in map(sources.__getitem__, named):
        assert " ".join(source.title.split()) in text
        assert source.url is None or source.url in ran.out, "an address can be copied whole"
    assert all(each in ran.out for each in detail.evidence)


def test_explain_says_when_the_rules_have_changed_since(watched: tuple[Ran, Path], own_rules: Path) -> None:
    alert = run("alerts", "--json", state=watched[1]).alerts[0]
    ran = run("rules", "explain", alert.event.id, "--rules", own_rules, state=watched[1])
    assert ran.code == 0 and "have changed since this alert" in ran.err


def test_the_store_that_a_settings_file_names_is_used(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text(f'[store]\nfolder = "{tmp_path / "kept"}"\n', "utf-8")
    run("demo", "--config", config, state=tmp_path / "state")
    assert run("alerts", state=tmp_path / "state").out == "no alerts are kept yet\n"
    listed = run("alerts", "--config", config, "--json", state=tmp_path / "state")
    assert len(listed.alerts) == 12
    first = listed.alerts[0].event.id
    for arguments in (("alerts", "show", first, "--config", config), ("alerts", "--config", config, "show", first)):
        assert run(*arguments, state=tmp_path / "state").code == 0
