"""What is shipped to be deployed parses, is whole, and keeps its promises as far as a parser can tell."""

import io
import json
import re
import subprocess
import sys
import urllib.parse
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile_parse import DockerfileParser

from collector.kafka_settings import KafkaSettings
from rules.load import load_rules
from streams.dispatch.opening import kinds
from streams.settings import load_settings
from tests.system.broker import ROOT
from tests.system.monitoring import run_program

DEPLOY = ROOT / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
RULES = DEPLOY / "prometheus" / "lenswatch.rules.yml"
# Docker's reference of instructions.
INSTRUCTIONS = {
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "SHELL",
    "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}  # fmt: skip


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


@pytest.mark.system
@pytest.mark.usefixtures("prometheus_programs")
def test_every_rule_of_prometheus_holds_in_its_cases() -> None:
    code, text = run_program("promtool", "test", "rules", "lenswatch.tests.yml", folder=RULES.parent)
    assert code == 0, text


@pytest.mark.system
@pytest.mark.usefixtures("prometheus_programs")
@pytest.mark.parametrize("name", ["prometheus.yml", "compose.yml"])
def test_prometheus_takes_its_configuration(name: str) -> None:
    code, text = run_program("promtool", "check", "config", name, folder=RULES.parent)
    assert code == 0, text


def alerts() -> list[dict[str, Any]]:
    return [rule for group in load(RULES)["groups"] for rule in group["rules"] if "alert" in rule]


def test_every_alert_has_a_case_that_fires_one_that_is_silent_and_a_place_in_the_docs() -> None:
    cases = [
        (check["alertname"], bool(check["exp_alerts"]))
        for test in load(RULES.parent / "lenswatch.tests.yml")["tests"]
        for check in test.get("alert_rule_test", ())
    ]
    for rule in alerts():
        assert (rule["alert"], True) in cases and (rule["alert"], False) in cases, rule["alert"]
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert f'<a id="{anchor}"></a>{rule["alert"]} ' in (ROOT / page).read_text("utf-8")


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_sound(path: Path) -> None:
    board = json.loads(path.read_text("utf-8"))
    assert board["uid"] == path.stem and board["templating"]["list"][0]["type"] == "datasource"
    assert board["annotations"]["list"][0]["name"] == "Rules changed"
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24 and panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs) >= 1
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            for window in re.findall(r"\[([^]]+)\]", target["expr"]):
                assert window == "$__rate_interval"
            assert not re.search(r'instance="|job="', target["expr"])


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_panel_leads_to_the_list_of_its_alerts(path: Path) -> None:
    board = json.loads(path.read_text("utf-8"))
    chosen = {variable["name"] for variable in board["templating"]["list"]}
    for panel in board["panels"]:
        (link,) = panel["fieldConfig"]["defaults"]["links"]
        place, _, filters = urllib.parse.unquote(link["url"]).partition("&filter=")
        assert place.startswith("${alerts:raw}/#/alerts?")
        expressions = " ".join(target["expr"] for target in panel["targets"])
        for name in re.findall(r"\$\{(\w+):\w+\}", filters):
            assert name in chosen
        for name in re.findall(r"\$\{__(?:field\.labels|data\.fields)\.(\w+)\}", filters):
            assert re.search(rf"by \([^)]*\b{name}\b[^)]*\)", expressions), (panel["title"], name)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_no_two_panels_overlap(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(path.read_text("utf-8"))["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_link_of_a_dashboard_leads_to_a_place_in_the_docs(path: Path) -> None:
    board = json.loads(path.read_text("utf-8"))
    (docs,) = (each for each in board["templating"]["list"] if each["name"] == "docs")
    links = re.findall(r'"url": "(\$\{docs:raw\}/[^"]+)"', path.read_text("utf-8"))
    assert len(links) >= 2
    for link in links:
        page, _, anchor = link.removeprefix("${docs:raw}/").partition("#")
        assert f'<a id="{anchor}"></a>' in (ROOT / "docs" / page).read_text("utf-8"), link
    grafana = load(DEPLOY / "compose.yml")["services"]["grafana"]
    assert f"../docs:/usr/share/grafana{docs['query']}:ro" in grafana["volumes"]


def test_each_detection_is_led_to_from_where_it_is_shown() -> None:
    board = json.loads((DEPLOY / "grafana" / "dashboards" / "lenswatch-overview.json").read_text("utf-8"))
    (panel,) = (each for each in board["panels"] if each["title"] == "By rule")
    assert panel["targets"][0]["legendFormat"] == "{{rule}}", "a row's name is the detection's title"
    led = {each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]}
    rules = load_rules()
    assert led == {each.title for each in (*rules.detections, *(it.head for it in rules.correlations))}


def test_the_uids_of_the_dashboards_do_not_change() -> None:
    assert [path.stem for path in DASHBOARDS] == [
        f"lenswatch-{name}" for name in ("company", "device", "firmware", "overview", "sensors", "verdicts")
    ]


def test_the_dashboards_are_what_their_script_makes() -> None:
    script = DEPLOY / "grafana" / "make_dashboards.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_rules_and_dashboards_name_detections_that_are_there() -> None:
    titles = {detection.title for detection in load_rules().detections}
    expressions = [rule.get("expr", "") for group in load(RULES)["groups"] for rule in group["rules"]]
    for path in DASHBOARDS:
        panels = json.loads(path.read_text("utf-8"))["panels"]
        expressions += [target["expr"] for panel in panels for target in panel["targets"]]
    asked = {title for text in expressions for names in re.findall(r'rule!?=~?"([^"]+)"', text)
             for title in names.split("|")}  # fmt: skip
    assert len(asked) >= 6 and asked <= titles, asked - titles


def test_what_counts_as_no_loss_is_called_as_the_collector_calls_it() -> None:
    (drops,) = (rule["expr"] for rule in alerts() if rule["alert"] == "LenswatchDrops")
    left_out = [word for words in re.findall(r'!~"([^"]+)"', drops) for word in words.split("|")]
    source = "".join(path.read_text("utf-8") for path in (ROOT / "collector").glob("*.py"))
    assert len(left_out) == 6 and all(f'"{word}"' in source for word in left_out), left_out


def test_grafana_finds_the_dashboards_and_their_data() -> None:
    (source,) = load(DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    (provider,) = load(DEPLOY / "grafana" / "provisioning" / "dashboards" / "lenswatch.yml")["providers"]
    grafana = load(DEPLOY / "compose.yml")["services"]["grafana"]
    assert source["type"] == "prometheus" and source["url"] == "http://prometheus:9090"
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]


def test_compose_is_whole() -> None:
    compose = load(DEPLOY / "compose.yml")
    services = compose["services"]
    assert {"kafka", "collector", "worker-1", "worker-2", "prometheus", "alertmanager", "grafana"} <= set(services)
    for name, service in services.items():
        assert ("image" in service) or ("build" in service), name
        assert "privileged" not in service and ":latest" not in service["image"]
        for needed in service.get("depends_on", {}):
            assert needed in services, (name, needed)
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), (name, port)
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            known = (DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"]
            assert known, (name, source)


def test_only_the_collector_has_a_right_and_only_that_one() -> None:
    services = load(DEPLOY / "compose.yml")["services"]
    ours = {name: service for name, service in services.items() if service["image"] == "lenswatch"}
    assert set(ours) == {"topics", "collector", "demo", "worker-1", "worker-2"}
    for name, service in ours.items():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ([] if name == "collector" else ["no-new-privileges:true"]), name
        assert service["tmpfs"] == ["/tmp"], name
        assert service.get("cap_add", []) == (["NET_RAW"] if name == "collector" else []), name


def test_the_collectors_right_comes_with_its_interpreter() -> None:
    """A user that is not root has nothing of `cap_add` but the leave to have it (capabilities(7))."""
    program, lenswatch = load(DEPLOY / "compose.yml")["services"]["collector"]["entrypoint"]
    said = [value for word, value in instructions() if word == "RUN" and "setcap" in value]
    assert len(said) == 1 and f"setcap cap_net_raw=ep {program}" in said[0]
    assert lenswatch == "/opt/lenswatch/bin/lenswatch"


def test_the_stack_has_a_collector_and_the_demo_only_traffic_for_it() -> None:
    services = load(DEPLOY / "compose.yml")["services"]
    assert [name for name, service in services.items() if "profiles" in service] == ["demo"]
    collector, demo = services["collector"], services["demo"]
    assert "captures:/captures" in collector["volumes"] and demo["volumes"] == ["captures:/captures"]
    assert collector["command"][:3] == ["collect", "--follow", "/captures"]


def check_compose(path: Path) -> tuple[int, str]:
    """Ask check-jsonschema, which brings the Compose specification's own schema."""
    program = Path(sys.executable).with_name("check-jsonschema")
    command = [str(program), "--builtin-schema", "vendor.compose-spec", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_compose_keeps_to_the_schema_of_the_compose_specification(tmp_path: Path) -> None:
    code, words = check_compose(DEPLOY / "compose.yml")
    assert code == 0, words
    wrong = tmp_path / "compose.yml"
    wrong.write_text((DEPLOY / "compose.yml").read_text("utf-8").replace("cap_drop: [ALL]", "cap_drop: ALL"), "utf-8")
    code, words = check_compose(wrong)
    assert code == 1 and "cap_drop" in words, "the schema refuses what is none"


def instructions() -> list[tuple[str, str]]:
    """Instruction and value, as the parser of dockerfile-parse reads them."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    parser = DockerfileParser(fileobj=io.BytesIO(text.encode()))
    return [(each["instruction"], each["value"]) for each in parser.structure if each["instruction"] != "COMMENT"]


def test_the_dockerfile_has_two_stages_and_runs_as_nobody_in_particular() -> None:
    found = instructions()
    assert {word for word, _ in found} <= INSTRUCTIONS
    stages = [number for number, (word, _) in enumerate(found) if word == "FROM"]
    assert len(stages) == 2 and found[stages[0]][1].endswith("AS build")
    last = dict(found[stages[1] :])
    assert last["USER"].isdigit() and int(last["USER"]) > 0
    assert json.loads(last["ENTRYPOINT"]) == ["lenswatch"]


def test_both_stages_begin_with_one_image_that_is_pinned_by_its_digest() -> None:
    found = instructions()
    (image,) = [value.removeprefix("PYTHON_IMAGE=") for word, value in found if word == "ARG"]
    assert re.fullmatch(r"python:3\.12-slim@sha256:[0-9a-f]{64}", image)
    assert {value.split()[0] for word, value in found if word == "FROM"} == {"${PYTHON_IMAGE}"}


def test_all_that_the_dockerfile_copies_is_there() -> None:
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source


@pytest.mark.parametrize("path", sorted((DEPLOY / "settings").glob("*.toml")), ids=lambda path: path.stem)
def test_the_settings_that_are_shipped_are_taken(path: Path) -> None:
    settings = load_settings(path, {})
    assert settings.sinks and all(table["kind"] in kinds() for table in settings.sinks.values())


def test_what_the_examples_comment_out_is_taken_too(tmp_path: Path) -> None:
    text = (DEPLOY / "settings" / "one-sensor.toml").read_text("utf-8")
    whole = tmp_path / "whole.toml"
    whole.write_text(re.sub(r"^# (?=[a-z_]+ = |\[)", "", text, flags=re.MULTILINE), "utf-8")
    assert set(load_settings(whole, {}).sinks) == {"siem", "soc", "alertmanager"}
    assert KafkaSettings() == load_settings(whole, {}).kafka
    assert load_settings(whole, {}).egress.keys() == {"lobby"}


def test_the_groups_of_the_rules_are_in_the_order_of_the_way() -> None:
    names = [group["name"] for group in load(RULES)["groups"]]
    assert names == [f"lenswatch-{each}" for each in ("findings", "firmware", "sensors", "workers", "sinks")]
    assert all(one != other for one, other in pairwise(names))
