"""Makes the dashboards beside this file, and the page of the detections that they lead to: python
deploy/grafana/make_dashboards.py [--check]. Uids never change."""

import json
import re
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "dashboards"
ROOT = FOLDER.parents[2]
PAGE = ROOT / "docs" / "41-detections.md"
# Of a correlation's file the first document is what is told of.
DETECTIONS = [
    (path.stem, next(yaml.safe_load_all(path.read_text("utf-8"))))
    for path in sorted(ROOT.glob("rules/detections/*/*.yml"))
]
# Where docs/ is, as the variable of each dashboard says; compose.yml has Grafana itself show them there.
DOCS, PLACE = "${docs:raw}", "/public/lenswatch-docs"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
ALERTS = "http://localhost:9093"
"""Where a person's browser finds Alertmanager; to be changed above each dashboard."""
SITE, SENSOR = 'site=~"$site"', 'sensor=~"$sensor"'
STEPS = {
    "warn": ((None, "green"), (1, "orange")),
    "bad": ((None, "green"), (1, "red")),
    "good": ((None, "red"), (1, "green")),
}


def rate(series: str) -> str:
    """Per second, over a window that fits the picture."""
    return f"rate({series}[$__rate_interval])"


def fresh(series: str) -> str:
    """How many more than a window ago; of a series that is new all of it, which `increase` alone leaves out."""
    window = "$__rate_interval"
    grown = f"increase({series}[{window}])"
    return f"({grown} + (min_over_time({series}[{window}]) unless {series} offset {window}) or {grown})"


# Alertmanager's label for a label of our metrics; both say the same, of an alert and of a count.
LISTED = {
    "rule": "alertname", "severity": "severity", "company": "company", "role": "role", "site": "site",
    "sensor": "sensor", "programme": "programmes",
}  # fmt: skip


def alert_list(kind: str, queries: list[tuple[str, str]], variables: list[str]) -> str:
    """The address of Alertmanager's list of what a point, bar or row stands for: filtered by those of its labels that
    alerts have, else by what is chosen above."""
    named = [
        name for query, _ in queries for group in re.findall(r"by \(([^)]*)\)", query) for name in group.split(", ")
    ]
    place = "__data.fields" if kind == "table" else "__field.labels"
    chosen = {name: f"${{{place}.{name}}}" for name in dict.fromkeys(named) if name in LISTED}
    chosen = {name: f"${{{name}:regex}}" for name in variables if name in LISTED} | chosen
    # An alert names all programmes in one label.
    matchers = [
        f'{LISTED[name]}=~".*{value}.*"' if name == "programme" else f'{LISTED[name]}=~"{value}"'
        for name, value in chosen.items()
    ]
    filters = urllib.parse.quote("{" + ",".join(matchers) + "}", safe="${}:.") if matchers else ""
    filters = f"%7B{filters[1:-1]}%7D" if filters else ""
    return f"${{alerts:raw}}/#/alerts?silenced=false&inhibited=false&active=true&filter={filters}"


def p99(buckets: str, by: str) -> str:
    """What 99 of 100 stay below."""
    return f"histogram_quantile(0.99, sum by ({by}) ({rate(buckets)}))"


def lead(title: str, place: str) -> dict[str, Any]:
    """A link to a place in docs/."""
    return {"title": title, "url": f"{DOCS}/{place}", "targetBlank": True}


def leads(first: dict[str, Any]) -> list[dict[str, Any]]:
    """For each detection, by its title, a link to what is said of it, after the one that every panel has."""
    return [
        {
            "matcher": {"id": "byName", "options": rule["title"]},
            "properties": [{"id": "links", "value": [first, lead("What it means", f"{PAGE.name}#{stem}")]}],
        }
        for stem, rule in DETECTIONS
    ]


class Board:
    """A dashboard whose panels fill rows of 24 columns from the left."""

    def __init__(self, uid: str, title: str, variables: list[tuple[str, str]]) -> None:
        self.uid, self.title, self.variables = uid, title, variables
        self.panels: list[dict[str, Any]] = []
        self._x = self._y = self._tall = 0

    def add(
        self, kind: str, title: str, words: str, queries: list[tuple[str, str]], unit: str = "short", wide: int = 12,
        tall: int = 8, steps: str | None = None, about: str | None = None, rules: bool = False,
    ) -> None:  # fmt: skip
        """A panel of `queries` (expression, legend). `about`: the Prometheus alert that is explained where the panel
        leads to; `rules`: each of its rows is a detection, and leads to what is said of that."""
        if self._x + wide > 24:
            self._x, self._y, self._tall = 0, self._y + self._tall, 0
        url = alert_list(kind, queries, [name for name, _ in self.variables])
        link = {"title": "The alerts", "url": url, "targetBlank": True}
        defaults: dict[str, Any] = {"unit": unit, "min": 0, "links": [link]}
        if steps is not None:
            rows = [{"value": value, "color": colour} for value, colour in STEPS[steps]]
            defaults["thresholds"] = {"mode": "absolute", "steps": rows}
        instant = kind in ("stat", "table", "bargauge")
        targets = [
            {
                "refId": chr(65 + number), "expr": expression, "legendFormat": legend, "datasource": SOURCE,
                "instant": instant, "range": not instant, "format": "table" if kind == "table" else "time_series",
            }
            for number, (expression, legend) in enumerate(queries)
        ]  # fmt: skip
        self.panels.append({
            "id": len(self.panels) + 1, "type": kind, "title": title, "description": words, "datasource": SOURCE,
            "gridPos": {"x": self._x, "y": self._y, "w": wide, "h": tall}, "targets": targets,
            "fieldConfig": {"defaults": defaults, "overrides": leads(link) if rules else []}, "options": {},
            "links": [lead("What to do", f"40-deliver.md#{about.lower()}")] if about else [],
        })  # fmt: skip
        self._x, self._tall = self._x + wide, max(self._tall, tall)

    def document(self) -> dict[str, Any]:
        """As Grafana reads it."""
        chosen = [{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}]
        chosen += [
            {
                "name": name, "label": name.capitalize(), "type": "query", "datasource": SOURCE, "query": query,
                "definition": query, "multi": True, "includeAll": True, "allValue": ".*", "refresh": 2,
                "current": {"text": "All", "value": "$__all"},
            }
            for name, query in self.variables
        ]  # fmt: skip
        chosen += [
            {
                "name": name, "label": label, "type": "textbox", "query": value, "hide": 0,
                "current": {"text": value, "value": value},
                "options": [{"selected": True, "text": value, "value": value}],
            }
            for name, label, value in (("docs", "Where docs/ is", PLACE), ("alerts", "Alert list", ALERTS))
        ]  # fmt: skip
        rules = {
            "name": "Rules changed", "datasource": SOURCE, "enable": True, "iconColor": "purple",
            "expr": "changes(lenswatch_rules_loaded_timestamp_seconds[$__rate_interval]) > 0",
            "titleFormat": "Rules changed", "textFormat": "{{instance}}",
        }  # fmt: skip
        return {
            "uid": self.uid, "title": self.title, "tags": ["lenswatch"], "schemaVersion": 39, "version": 1,
            "editable": False, "refresh": "30s", "time": {"from": "now-24h", "to": "now"}, "timezone": "utc",
            "templating": {"list": chosen}, "annotations": {"list": [rules]}, "panels": self.panels,
            "links": [
                {"type": "dashboards", "title": "lenswatch", "tags": ["lenswatch"], "asDropdown": False},
            ],
        }  # fmt: skip


def overview() -> Board:
    """What is calling home, and for whom it matters."""
    found = f"lenswatch_findings_total{{{SITE}, {SENSOR}}}"
    board = Board("lenswatch-overview", "lenswatch · Overview", [
        ("site", "label_values(lenswatch_findings_total, site)"),
        ("sensor", "label_values(lenswatch_findings_total, sensor)"),
    ])  # fmt: skip
    board.add("stat", "High and critical", "Findings of the levels high and critical since the workers began.",
              [(f'sum(lenswatch_findings_total{{severity=~"high|critical", {SITE}, {SENSOR}}}) or vector(0)', "")],
              wide=6, tall=5, steps="bad", about="LenswatchFindings")  # fmt: skip
    board.add("stat", "All findings", "Findings of every level since the workers began.",
              [(f"sum({found})", "")], wide=6, tall=5)  # fmt: skip
    board.add("stat", "Open now", "Findings whose window is not over: what is calling home now.",
              [("sum(lenswatch_findings_open)", "")], wide=6, tall=5, steps="warn")  # fmt: skip
    board.add("stat", "Devices", "Devices that were seen.",
              [("sum(lenswatch_devices_known)", "")], wide=6, tall=5)  # fmt: skip
    board.add("timeseries", "New findings by level", "How many findings became known, from point to point.",
              [(f"sum by (severity) {fresh(found)}", "{{severity}}")], wide=12)  # fmt: skip
    board.add("timeseries", "Bytes that cameras send out", "By the company that they go to; none: nobody known.",
              [(f"sum by (company) ({rate(f'lenswatch_device_egress_bytes_total{{{SITE}}}')})", "{{company}}")],
              unit="Bps", wide=12)  # fmt: skip
    for title, words, query, legend in (
        ("By company", "Whose endpoints were called.", f"topk(15, sum by (company) ({found}))", "{{company}}"),
        ("By role", "What the endpoints are for.", f"topk(15, sum by (role) ({found}))", "{{role}}"),
        ("By programme", "Under which programme the company was listed on the packet's day. A list is not a ban.",
         "topk(15, sum by (programme) (lenswatch_finding_programmes_total))", "{{programme}}"),
        ("By site", "Where the cameras stand.", f"topk(15, sum by (site) ({found}))", "{{site}}"),
        ("By country of the address", "Needs a country database at [geo]; none: not known.",
         "topk(15, sum by (country) (lenswatch_finding_countries_total))", "{{country}}"),
        ("By rule", "Which detection fired.", f"topk(15, sum by (rule) ({found}))", "{{rule}}"),
    ):  # fmt: skip
        board.add("bargauge", title, words, [(query, legend)], wide=8, tall=9, rules=title == "By rule")
    return board


POLICY = "Call that the device's policy forbids"
FIRST, GROWN = "First call to a new company, country or network", "Ten times the usual traffic"
UNDECLARED, SILENT, DIFFERS = (
    "Camera that nobody declared", "Declared device that is silent", "Device is of another maker than declared",
)  # fmt: skip


def device() -> Board:
    """Whether devices do what they should: the list, the policies, the usual."""
    board = Board("lenswatch-device", "lenswatch · Device", [
        ("site", "label_values(lenswatch_findings_total, site)"),
        ("sensor", "label_values(lenswatch_findings_total, sensor)"),
    ])  # fmt: skip

    def found(*rules: str) -> str:
        """The findings of some detections, by their titles."""
        return f'lenswatch_findings_total{{rule=~"{"|".join(rules)}", {SITE}, {SENSOR}}}'

    for title, words, rule, steps, about in (
        ("Policies broken", "Calls that a device's policy forbids: [egress] in the settings.", POLICY, "bad",
         "LenswatchPolicyBroken"),
        ("Not declared", "Cameras that the list of declared devices does not name.", UNDECLARED, "warn",
         "LenswatchUndeclaredCamera"),
        ("Another maker", "Devices that speak as another maker's than is declared.", DIFFERS, "warn", None),
        ("Declared and silent", "Declared devices of which nothing was heard for a day.", SILENT, "warn", None),
        ("First calls", "To a company, country or network that the device had not called before.", FIRST, "warn",
         "LenswatchUnusualTraffic"),
        ("Grown traffic", "Days of ten times a device's usual traffic to outside.", GROWN, "warn",
         "LenswatchUnusualTraffic"),
    ):  # fmt: skip
        board.add("stat", title, words, [(f"sum({found(rule)}) or vector(0)", "")], wide=4, tall=5, steps=steps,
                  about=about)  # fmt: skip
    every = found(POLICY, UNDECLARED, DIFFERS, SILENT, FIRST, GROWN)
    board.add("timeseries", "Not as it should be", "How many such findings became known, per hour, by detection.",
              [(f"sum by (rule) ({rate(every)}) * 3600 or vector(0)", "{{rule}}")], wide=12, rules=True)  # fmt: skip
    sent = rate(f"lenswatch_device_egress_bytes_total{{{SITE}}}")
    board.add("timeseries", "Bytes that cameras send out, by site", "Of flows that have ended.",
              [(f"sum by (site) ({sent})", "{{site}}")], unit="Bps", wide=12)  # fmt: skip
    board.add("timeseries", "Bytes that cameras send out, by country",
              "Needs a country file at [geo]; none: not known.",
              [(f"topk(10, sum by (country) ({sent}))", "{{country}}")], unit="Bps", wide=12)  # fmt: skip
    board.add("timeseries", "Devices", "Those that are known, and of them those not seen for a while.",
              [("sum(lenswatch_devices_known)", "known"), ("sum(lenswatch_devices_silent)", "silent")],
              wide=12)  # fmt: skip
    board.add("bargauge", "Findings by site", "Where devices are not as they should be.",
              [(f"topk(15, sum by (site) ({every})) or vector(0)", "{{site}}")], wide=12)  # fmt: skip
    unasked = rate("lenswatch_collector_unasked_total")
    board.add("timeseries", "Read and not told of",
              "Per second, by dataset: of devices that are not to be watched, or of no concern to any rule.",
              [(f"sum by (dataset) ({unasked}) or vector(0)", "{{dataset}}")], wide=12)  # fmt: skip
    return board


def sensors() -> Board:
    """Whether we see, and whether what we see arrives."""
    board = Board("lenswatch-sensors", "lenswatch · Sensors and ledger", [
        ("site", "label_values(lenswatch_sensor_info, site)"),
        ("sensor", "label_values(lenswatch_sensor_info, sensor)"),
        ("instance", "label_values(lenswatch_rules_info, instance)"),
    ])  # fmt: skip
    chosen = 'instance=~"$instance"'

    def of_sensors(expression: str) -> str:
        """What sensors say, of those that are chosen."""
        return f"{expression} * on (instance) group_left (sensor, site) lenswatch_sensor_info{{{SITE}, {SENSOR}}}"

    board.add("stat", "Answering", "Sensors and workers that answer Prometheus.",
              [('count(up{job=~"lenswatch.*"} == 1) or vector(0)', "")], wide=6, tall=5, steps="good",
              about="LenswatchSensorDown")  # fmt: skip
    board.add("stat", "Workers ready", "Workers that have their partitions and tables.",
              [(f"sum(lenswatch_worker_ready{{{chosen}}})", "")], wide=6, tall=5, steps="good")  # fmt: skip
    board.add("stat", "Sums that do not close", "A sum of the loss ledger that is open is a defect of lenswatch.",
              [("sum(lenswatch_ledger_open_sums) or vector(0)", "")], wide=6, tall=5, steps="bad",
              about="LenswatchLedgerOpen")  # fmt: skip
    board.add("stat", "Alerts let go", "Alerts that no sink will get any more.",
              [("sum(lenswatch_sink_dropped_total)", "")], wide=6, tall=5, steps="bad",
              about="LenswatchAlertsDropped")  # fmt: skip
    board.add("timeseries", "Packets read", "Per second and sensor. Nothing for ten minutes is a blind sensor.",
              [(f"sum by (sensor) ({of_sensors(rate('lenswatch_collector_packets_total'))})", "{{sensor}}")],
              unit="pps", wide=8, about="LenswatchSensorBlind")  # fmt: skip
    dropped = of_sensors(rate("lenswatch_collector_dropped_total"))
    board.add("timeseries", "Let go, by stage and reason", "What was not read on, and why.",
              [(f"sum by (stage, reason) ({dropped}) or vector(0)", "{{stage}}: {{reason}}")],
              wide=8, about="LenswatchDrops")  # fmt: skip
    board.add("timeseries", "Observations through the rules", "Per second.",
              [(f"sum by (instance) ({rate(f'lenswatch_matcher_observations_total{{{chosen}}}')})", "{{instance}}")],
              wide=8)  # fmt: skip
    ledger(board, chosen, of_sensors)
    board.add("timeseries", "Records that wait in Kafka", "By topic. Growing without end: start another worker.",
              [("sum by (topic) (lenswatch_consumer_lag_records)", "{{topic}}")], wide=8,
              about="LenswatchLag")  # fmt: skip
    board.add("timeseries", "Spool", "Compressed bytes that wait on the sensors' disks for Kafka.",
              [(f"sum by (sensor) ({of_sensors('lenswatch_spool_bytes')})", "{{sensor}}")], unit="bytes", wide=8,
              about="LenswatchSpoolFilling")  # fmt: skip
    board.add("timeseries", "Record to alert", "Time from a record's reading to its being done, 99 of 100.",
              [(p99(f"lenswatch_matcher_record_duration_seconds_bucket{{{chosen}}}", "le"), "p99")],
              unit="s", wide=8)  # fmt: skip
    board.add("table", "Sinks", "Whether each takes alerts.", [("min by (sink) (lenswatch_sink_up)", "")], wide=8,
              about="LenswatchSinkFailing")  # fmt: skip
    board.add("timeseries", "Alerts that wait, by sink", "What a receiver has not taken yet.",
              [("sum by (sink) (lenswatch_sink_queue_depth)", "{{sink}}")], wide=8)  # fmt: skip
    board.add("timeseries", "Alert to sink", "From an alert's being told to its delivery, 99 of 100.",
              [(p99("lenswatch_sink_delay_seconds_bucket", "le, sink"), "{{sink}}")],
              unit="s", wide=8)  # fmt: skip
    board.add("timeseries", "Since the last canary, by sink", "A made observation that goes the whole way.",
              [("time() - max by (sink) (lenswatch_canary_last_delivery_timestamp_seconds)", "{{sink}}")],
              unit="s", wide=8, about="LenswatchCanaryMissing")  # fmt: skip
    board.add("table", "Rules in force", "By digest; more than one for long means that a reload failed somewhere.",
              [("count by (digest) (lenswatch_rules_info)", "")], wide=8, about="LenswatchRulesDiffer")  # fmt: skip
    board.add("timeseries", "Age of the rules", "Since they were read.",
              [("time() - max by (instance) (lenswatch_rules_loaded_timestamp_seconds)", "{{instance}}")],
              unit="s", wide=8, about="LenswatchRulesStale")  # fmt: skip
    return board


def ledger(board: Board, chosen: str, of_sensors: Callable[[str], str]) -> None:
    """The rest of the loss ledger: what becomes of observations, hits and alerts."""
    board.add("timeseries", "Let go before Kafka", "Observations per second that the spool had no room for, by reason.",
              [(f"sum by (reason) ({of_sensors(rate('lenswatch_spool_dropped_observations_total'))}) or vector(0)",
                "{{reason}}")], wide=6)  # fmt: skip
    board.add("timeseries", "Dead letters", "Records per second that could not be read, by reason.",
              [(f"sum by (reason) ({rate('lenswatch_dead_letters_total')}) or vector(0)", "{{reason}}")],
              wide=6, about="LenswatchDeadLetters")  # fmt: skip
    board.add("timeseries", "Hits of the rules", "Per second: told, folded into a finding that is known, or waived.",
              [(f"sum by (result) ({rate(f'lenswatch_rule_hits_total{{{chosen}}}')})", "{{result}}")],
              wide=6)  # fmt: skip
    board.add("timeseries", "Deliveries", "Revisions of alerts per second that sinks were given, by what became of it.",
              [(f"sum by (result) ({rate('lenswatch_sink_deliveries_total')})", "{{result}}")],
              wide=6)  # fmt: skip


def verdicts() -> Board:
    """What it means for us, what is waived, and whose rules say so."""
    board = Board("lenswatch-verdicts", "lenswatch · Verdicts, waivers and rules", [
        ("profile", "label_values(lenswatch_finding_verdicts_total, profile)"),
        ("instance", "label_values(lenswatch_rules_info, instance)"),
    ])  # fmt: skip
    chosen, here = 'profile=~"$profile"', 'instance=~"$instance"'
    said = f"lenswatch_finding_verdicts_total{{{chosen}}}"
    for title, outcome, words, steps in (
        ("Prohibited", "prohibited", "Findings that a programme forbids for a profile.", "bad"),
        ("Need a licence", "licence_required", "Findings that a programme allows with a licence only.", "bad"),
        ("To be reported", "reportable", "Findings that show something which has to be reported.", "warn"),
        ("To be reviewed", "review", "Findings of which a person has to say what they mean.", "warn"),
    ):
        query = f'sum(lenswatch_finding_verdicts_total{{outcome="{outcome}", {chosen}}}) or vector(0)'
        board.add("stat", title, words, [(query, "")], wide=6, tall=5, steps=steps, about="LenswatchVerdicts")
    board.add("bargauge", "By programme", "What each programme says of the findings, the general picture left out.",
              [(f"topk(15, sum by (programme, outcome) ({said}))", "{{programme}}: {{outcome}}")],
              wide=8, tall=9)  # fmt: skip
    board.add("table", "By profile", "Findings by who we are, programme and outcome.",
              [(f"sum by (profile, programme, outcome) ({said})", "")], wide=8, tall=9)  # fmt: skip
    board.add("timeseries", "New verdicts by outcome", "How many became known, from point to point.",
              [(f"sum by (outcome) {fresh(said)}", "{{outcome}}")], wide=8, tall=9)  # fmt: skip
    ends = "max by (waiver) (lenswatch_waiver_end_timestamp_seconds)"
    board.add("stat", "Waivers that end soon", "Exceptions in force that end within 30 days.",
              [(f"count(0 < {ends} - time() < 30 * 86400) or vector(0)", "")],
              wide=6, tall=8, steps="warn", about="LenswatchWaiverEnds")  # fmt: skip
    board.add("table", "Waivers", "Seconds until each exception ends; below nothing: it has ended.",
              [(f"{ends} - time()", "")], unit="s", wide=9)  # fmt: skip
    board.add("timeseries", "Waived", "Hits that were counted and not sent, per second.",
              [(f"sum by (waiver) ({rate('lenswatch_waived_hits_total')})", "{{waiver}}")], wide=9)  # fmt: skip
    board.add("stat", "Rules refused", "Times that new rules were not taken; those before stay in force.",
              [(f'sum(lenswatch_rules_reloads_total{{result="refused", {here}}})', "")],
              wide=6, tall=8, steps="warn", about="LenswatchRulesRejected")  # fmt: skip
    board.add("timeseries", "Indicators", "Names, networks and patterns of the rules in force.",
              [(f"max by (instance) (lenswatch_rules_indicators{{{here}}})", "{{instance}}")], wide=9)  # fmt: skip
    board.add("table", "Signed", "Age of each pack in force, and the key that signed it.",
              [(f"time() - lenswatch_rules_pack_signed_timestamp_seconds{{{here}}}", "")],
              unit="s", wide=9, about="LenswatchPackStale")  # fmt: skip
    return board


def company() -> Board:
    """Whose devices mean what under which programme, where; and what is waived, for how long still."""
    board = Board("lenswatch-company", "lenswatch · Company and programme", [
        ("company", "label_values(lenswatch_finding_company_verdicts_total, company)"),
        ("programme", "label_values(lenswatch_finding_company_verdicts_total, programme)"),
        ("site", "label_values(lenswatch_finding_company_verdicts_total, site)"),
    ])  # fmt: skip
    chosen = f'company=~"$company", programme=~"$programme", {SITE}'
    said = f"lenswatch_finding_company_verdicts_total{{{chosen}}}"
    for title, outcome, words, steps in (
        ("Prohibited", "prohibited", "Verdicts on findings: a programme forbids it.", "bad"),
        ("Need a licence", "licence_required", "Verdicts on findings: allowed with a licence only.", "bad"),
        ("To be reported", "reportable", "Verdicts on findings: they have to be reported.", "warn"),
        ("To be reviewed", "review", "Verdicts on findings: a person has to say what it means.", "warn"),
    ):
        query = f'sum(lenswatch_finding_company_verdicts_total{{outcome="{outcome}", {chosen}}}) or vector(0)'
        board.add("stat", title, words, [(query, "")], wide=6, tall=5, steps=steps, about="LenswatchVerdicts")
    for title, by, words in (
        ("New verdicts by company", "company, outcome", "How many became known, from point to point."),
        ("New verdicts by programme", "programme, outcome", "How many became known, from point to point."),
        ("New verdicts by site", "site, outcome", "How many became known, from point to point."),
    ):
        shown = ": ".join(f"{{{{{name}}}}}" for name in by.split(", "))
        board.add("timeseries", title, words, [(f"sum by ({by}) {fresh(said)}", shown)], wide=8, tall=9)
    board.add("table", "Company, programme and site", "Verdicts on findings since the workers began.",
              [(f"sort_desc(sum by (company, programme, outcome, site) ({said}))", "")], wide=12, tall=10)  # fmt: skip
    board.add("bargauge", "By company", "Verdicts that forbid, or ask for a licence, a report or a review.",
              [(f'topk(15, sum by (company) (lenswatch_finding_company_verdicts_total{{outcome!~"context_only|'
                f'not_restricted|checked_not_listed", {chosen}}}))', "{{company}}")],
              wide=12, tall=10)  # fmt: skip
    left = "(max by (waiver) (lenswatch_waiver_end_timestamp_seconds) - time()) / 86400"
    board.add("table", "Waivers: days left", "Until each exception ends; below nothing: it has ended.",
              [(f"sort({left})", "")], unit="d", wide=8, tall=9, about="LenswatchWaiverEnds")  # fmt: skip
    board.add("timeseries", "Waivers: days left over time", "Until each exception ends.",
              [(left, "{{waiver}}")], unit="d", wide=8, tall=9)  # fmt: skip
    board.add("timeseries", "Waived", "Hits that were counted and not sent, per hour, by waiver.",
              [(f"sum by (waiver) ({rate('lenswatch_waived_hits_total')}) * 3600", "{{waiver}}")],
              wide=8, tall=9)  # fmt: skip
    return board


def firmware() -> Board:
    """Which firmware comes in, from whom, and who has had none for long."""
    board = Board("lenswatch-firmware", "lenswatch · Firmware", [
        ("company", "label_values(lenswatch_firmware_steps_total, company)"),
    ])  # fmt: skip
    steps = "lenswatch_firmware_steps_total"
    chosen = 'company=~"$company"'
    whole = f"{steps}{{{chosen}}}"
    fetched = f'{steps}{{step="download", {chosen}}}'
    for title, words, labels, colour, about in (
        ("Checks", "Devices' update checks, one a finding, since the workers began.", 'step="check"', None, None),
        ("Fetched", "Downloads from outside, the probable ones too.", 'step="download", origin="maker"', "warn",
         "LenswatchFirmwareFetched"),
        ("Given from inside", "Firmware that an address of the own network gave.",
         'step="download", origin="inside"', "warn", "LenswatchFirmwareFromInside"),
        ("New versions", "Updates after which the device says another version.", 'step="new_version"', None, None),
    ):  # fmt: skip
        board.add("stat", title, words, [(f"sum({steps}{{{labels}, {chosen}}}) or vector(0)", "")], wide=6, tall=5,
                  steps=colour, about=about)  # fmt: skip
    board.add("timeseries", "Steps of updates", "How many of each step became known, from point to point.",
              [(f"sum by (step) {fresh(whole)}", "{{step}}")], wide=12)  # fmt: skip
    board.add("timeseries", "Downloads by company", "Whose firmware was fetched; none: nobody known.",
              [(f"sum by (company, origin) {fresh(fetched)}",
                "{{company}}, {{origin}}")], wide=12)  # fmt: skip
    board.add("bargauge", "Days since an update", "Devices by the age of their last update; never: as far as was seen.",
              [("sum by (age) (lenswatch_devices_updated)", "{{age}}")], wide=8, tall=9,
              about="LenswatchFirmwareOld")  # fmt: skip
    board.add("bargauge", "How far updates come", "Of the updates that were seen, how many show each step.",
              [(f"sum by (step) ({steps}{{{chosen}}})", "{{step}}")], wide=8, tall=9)  # fmt: skip
    board.add("table", "By company and origin", "Steps of updates, by whose firmware it is and where it came from.",
              [(f"sum by (company, origin, step) ({steps}{{{chosen}}})", "")], wide=8, tall=9)  # fmt: skip
    return board


def page() -> str:
    """What each detection means, and what else it may be, in the order of gravity."""
    levels = ("critical", "high", "medium", "low", "informational")
    rows = sorted(DETECTIONS, key=lambda row: (levels.index(row[1]["level"]), row[1]["title"]))
    lines = [
        "# What the detections mean", "",
        "Made by `make_dashboards.py` from `rules/detections/`. To add one: [21](21-add-a-detection.md).",
        "", "| detection | level | what it means | what else it may be |", "|---|---|---|---|",
    ]  # fmt: skip
    for stem, rule in rows:
        means, else_ = (" ".join(text.split()) for text in (rule["description"], " ".join(rule["falsepositives"])))
        lines.append(f'| <a id="{stem}"></a>{rule["title"]} | {rule["level"]} | {means} | {else_} |')
    return "\n".join(lines) + "\n"


def texts() -> dict[Path, str]:
    """Each file and what stands in it."""
    boards = (overview(), device(), sensors(), verdicts(), company(), firmware())
    return {PAGE: page()} | {
        FOLDER / f"{board.uid}.json": json.dumps(board.document(), indent=1, ensure_ascii=False) + "\n"
        for board in boards
    }


def main() -> None:
    """Write the files, or with --check say which are not as they would be written."""
    wrong = [path for path, text in texts().items() if not path.is_file() or path.read_text("utf-8") != text]
    if "--check" in sys.argv:
        sys.exit("\n".join(f"{path}: is not what make_dashboards.py makes: run it" for path in wrong) or 0)
    for path, text in texts().items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
