"""`lenswatch doctor`: is everything here that watching needs, and did the last run's sums close? Each with its mend."""

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from collector.errors import LenswatchError
from collector.identify.fingerprint import read_fingerprints
from streams.delivery import outbox_folder
from streams.dispatch.opening import close_sinks, open_sinks
from streams.dispatch.outbox import Outbox
from streams.geo import GeoFiles
from streams.local import Run
from streams.ruleset import rules_for
from streams.settings import Settings, state_folder
from streams.store import AlertStore

LAST_RUN = "last-run.json"
MIN_FREE_BYTES = 1 << 30
MIN_YEAR = 2026
MIN_PYTHON = (3, 11)
LIBRARIES = ("numpy", "msgspec", "pysigma", "publicsuffixlist", "rapidfuzz", "maxminddb", "typer", "rich")
TSHARK_SECONDS = 20
OK, NOTE, BAD = "ok", "note", "bad"


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """One check: `state` ok, note (works, with less) or bad; `text` what was found; `mend` what to do."""

    check: str
    state: str
    text: str
    mend: str = ""


def examine(settings: Settings) -> Iterator[Answer]:
    """Every check, in the order of the packet's life."""
    yield check_python()
    yield check_libraries()
    yield check_tshark(settings)
    yield check_privileges()
    yield check_rules(settings)
    yield check_geo(settings)
    yield check_disk(settings)
    yield check_store(settings)
    yield check_sinks(settings)
    yield check_clock()
    yield check_last_run(settings)


def check_python() -> Answer:
    """The interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < MIN_PYTHON:
        return Answer("python", BAD, version, f"install Python {'.'.join(map(str, MIN_PYTHON))} or later")
    return Answer("python", OK, version)


def check_libraries() -> Answer:
    """The libraries that watching needs."""
    import importlib.metadata

    found, missing = [], []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Answer("libraries", BAD, f"missing: {', '.join(missing)}", "install lenswatch again with its lock file")
    return Answer("libraries", OK, ", ".join(found))


def check_tshark(settings: Settings) -> Answer:
    """tshark, for the second opinion; watching does not need it, unless the settings say so."""
    import subprocess

    path = shutil.which("tshark")
    mend = "sudo apt-get install tshark"
    wanted = "deep" if settings.deep.enabled else "capture.engine" if settings.capture.engine == "pyshark" else ""
    if path is None and wanted:
        return Answer("tshark", BAD, f"not installed, and {wanted} in the settings asks for it", mend)
    if path is None:
        return Answer("tshark", NOTE, "not installed; watching works without it", mend)
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=TSHARK_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Answer("tshark", BAD if wanted else NOTE, f"does not start: {error}", mend)
    return Answer("tshark", OK, done.stdout.partition("\n")[0])


def check_privileges() -> Answer:
    """Whether a packet socket can be opened; capture files need none."""
    if not hasattr(socket, "AF_PACKET"):
        text = "this system has no packet sockets; capture files can be read"
        return Answer("privileges", NOTE, text, "watch on Linux")
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError:
        text = "may not open a packet socket; capture files can be read"
        return Answer("privileges", NOTE, text, "run as root, or give the interpreter CAP_NET_RAW")
    return Answer("privileges", OK, "a packet socket can be opened")


def check_rules(settings: Settings) -> Answer:
    """Facts, detections and fingerprints load."""
    try:
        began = time.process_time()
        rules = rules_for(settings)
        fingerprints = read_fingerprints()
    except LenswatchError as error:
        return Answer(
            "rules", BAD, str(error).partition("\n")[0], "lenswatch rules check --rules DIR says all that is wrong"
        )
    facts = rules.facts
    return Answer(
        "rules",
        OK,
        f"{len(rules.detections)} detections, {len(facts.entities)} companies, {len(facts.programmes)} programmes, "
        f"{len(fingerprints)} makers' fingerprints, in {time.process_time() - began:.2f} s; digest {rules.digest[:12]}",
    )


def check_geo(settings: Settings) -> Answer:
    """The geo files, where some are named."""
    try:
        geo = GeoFiles(settings.geo.asn, settings.geo.country)
    except LenswatchError as error:
        return Answer("geo", BAD, str(error), "name a MaxMind DB file at [geo] asn and country, or none")
    named = ", ".join(str(path) for path in (settings.geo.asn, settings.geo.country) if path)
    if geo.missing:
        less = {"asn": "of AS numbers only those are known that the facts name", "country": "alerts name no country"}
        text = "; ".join([*([named] if named else ()), *(less[name] for name in geo.missing)])
        keys = " and ".join(geo.missing)
        return Answer("geo", NOTE, text, f"lenswatch geo build makes MaxMind DB files; name them at [geo] {keys}")
    return Answer("geo", OK, named)


def check_disk(settings: Settings) -> Answer:
    """The state folder can be written and has room."""
    folder = state_folder(settings.store)
    mend = "name a folder that can be written at [store] folder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Answer("disk", BAD, f"{folder}: {error.strerror}", mend)
    if not os.access(folder, os.W_OK):
        return Answer("disk", BAD, f"{folder}: cannot be written", mend)
    if free < MIN_FREE_BYTES:
        return Answer("disk", NOTE, f"{folder}: {free >> 20} MiB free", "make room, or name another folder")
    return Answer("disk", OK, f"{folder}: {free >> 30} GiB free")


def check_store(settings: Settings) -> Answer:
    """The kept alerts can be read."""
    folder = state_folder(settings.store)
    try:
        if not AlertStore.is_in(folder):
            return Answer("alerts", NOTE, "none are kept yet", "lenswatch demo")
        with contextlib.closing(AlertStore(folder, settings.store.max_alerts)) as store:
            return Answer("alerts", OK, f"{len(store):,} kept, at most {settings.store.max_alerts:,}")
    except (LenswatchError, OSError) as error:
        return Answer("alerts", BAD, str(error), "move the file away: the next run makes a new one")


def check_sinks(settings: Settings) -> Answer:
    """The sinks of the settings are sound, and nothing waits for them. No receiver is asked."""
    if not settings.sinks:
        return Answer("sinks", OK, "none is named; alerts are shown and kept")
    try:
        sinks = open_sinks(settings.sinks)
        asyncio.run(close_sinks(sinks))
        folder, waiting = outbox_folder(settings), {}
        if Outbox.is_in(folder):
            with contextlib.closing(Outbox(folder, settings.store.max_waiting)) as outbox:
                waiting = {sink.name: outbox.count(sink.name) for sink in sinks}
    except LenswatchError as error:
        return Answer("sinks", BAD, str(error), "docs/40-deliver.md says what a sink needs")
    left = [f"{count} alerts wait for {name}" for name, count in waiting.items() if count]
    if left:
        return Answer("sinks", NOTE, "; ".join(left), "lenswatch sinks test NAME says what the receiver answers")
    return Answer("sinks", OK, ", ".join(f"{sink.name} ({sink.kind})" for sink in sinks))


def check_clock() -> Answer:
    """The clock is not years behind; packets carry the time of the host that captured them."""
    now = time.gmtime()
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", now)
    if now.tm_year < MIN_YEAR:
        return Answer("clock", BAD, text, "set the clock; turn on time synchronisation")
    return Answer("clock", OK, text)


def check_last_run(settings: Settings) -> Answer:
    """The ledger of the last run that was kept."""
    path = state_folder(settings.store) / LAST_RUN
    try:
        last = json.loads(path.read_text("utf-8"))
        counts = ", ".join(f"{last[name]:,} {name}" for name in ("packets", "observations", "alerts"))
        text = f"last run {last['ended']}: {counts}"
        sums = last["open"]
    except FileNotFoundError:
        return Answer("ledger", NOTE, "no run yet", "lenswatch demo")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Answer("ledger", NOTE, f"{path}: cannot be read: {error}", "it is written anew by the next run")
    if sums:
        return Answer(
            "ledger", BAD, f"{text}; open: {'; '.join(sums)}", "report it with the capture: packets were lost unseen"
        )
    return Answer("ledger", OK, f"{text}; every sum closes")


def keep_last_run(folder: Path, run: Run, ended: float) -> None:
    """Write down what a run came to, for the next `doctor`. `ended` in seconds since 1970."""
    let_go = {f"{stage}.{reason}": count for (stage, reason), count in sorted(run.ledger.let_go.items())}
    document = {
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ended)),
        "packets": run.ledger.packets_in,
        "decoded": run.ledger.packets_decoded,
        "let_go": let_go,
        "flows": run.ledger.flows,
        "observations": run.observations,
        "alerts": len(run.alerts),
        "problems": run.problems,
        "open": run.open_sums(),
    }
    path = folder / LAST_RUN
    fresh = path.with_suffix(".new")
    try:
        fresh.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
        fresh.replace(path)
    except OSError as error:
        raise LenswatchError(f"{path}: cannot be written: {error.strerror}") from error
