"""Rules by their topic: every worker takes a pack whole, says its digest, and keeps what it had when one is bad."""

from pathlib import Path

import pytest

from rules.load import collect_files, load_rules
from rules.pack import FORMAT, pack
from streams.rules_topic import KEY, SCHEMA
from tests.rules.own import RULE
from tests.streams.command import Ran, spawn
from tests.system.centre import Centre, Worker, until

pytestmark = pytest.mark.system


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a detection more."""
    path = tmp_path / "own" / "detections" / "own.yml"
    path.parent.mkdir(parents=True)
    path.write_text(RULE, "utf-8")
    return tmp_path / "own"


def publish(centre: Centre, *more: object) -> Ran:
    return spawn("rules", "publish", "--config", centre.config, *more, state=centre.folder)


def runs(worker: Worker, digest: str) -> bool:
    return worker.metric("rules_info", digest) == 1


def test_a_published_pack_is_in_force_in_every_worker_and_in_the_next_one(centre: Centre, own: Path) -> None:
    shipped, more = load_rules().digest, load_rules([own]).digest
    first, second = centre.worker("first").wait_ready(), centre.worker("second").wait_ready()
    assert runs(first, shipped) and runs(second, shipped)
    sent = publish(centre, "--rules", own)
    assert sent.code == 0 and f"published rules {more}" in sent.out, sent.err
    for worker in (first, second):
        until(lambda worker=worker: runs(worker, more), 20, f"the pack is taken: {worker.said()}")
        assert f"rules {more[:12]} are in force" in worker.said()
    third = centre.worker("third").wait_ready()
    assert runs(third, more) and third.metric("rules_reloads_total", "taken") == 1


def test_a_bad_pack_is_refused_in_a_line_and_the_next_good_one_taken(centre: Centre, own: Path) -> None:
    more = load_rules([own]).digest
    assert publish(centre, "--rules", own).code == 0
    worker = centre.worker("one").wait_ready()
    wrong = collect_files() | {"1/detections/x.yml": b"title: x\n", "1/detections/y.yml": b"y: [\n"}
    for bad in (b"junk", pack(wrong), FORMAT):
        centre.producer.send(centre.rules, key=KEY, value=bad, headers=[("schema", SCHEMA)], partition=0)
        centre.producer.flush(30)
        # One after the other: of several that are there at once only the newest is looked at.
        refused = worker.metric("rules_reloads_total", "refused")
        until(lambda seen=refused: worker.metric("rules_reloads_total", "refused") > seen or seen, 20, worker.said())
    until(lambda: worker.metric("rules_reloads_total", "refused") == 3, 20, worker.said())
    assert runs(worker, more)
    lines = [line for line in worker.said().splitlines() if "the rules stay as they were" in line]
    assert len(lines) == 3 and "no pack that can be read" in lines[0] and "1/detections/x.yml: " in lines[1]
    shipped = load_rules().digest
    assert publish(centre).code == 0
    until(lambda: runs(worker, shipped), 20, worker.said())


def test_only_a_pack_that_was_signed_by_the_right_key_is_taken_and_never_an_older_one(
    centre: Centre, own: Path
) -> None:
    for name in ("ops", "other"):
        assert spawn("rules", "keygen", centre.folder / name, state=centre.folder).code == 0
    trust = {
        "LENSWATCH_RULES_TRUSTED_KEYS": f'["{centre.folder}/ops.pub"]', "LENSWATCH_RULES_REQUIRE_SIGNED": "true",
    }  # fmt: skip
    centre.variables = {**centre.variables, **trust}
    worker = centre.worker("one").wait_ready()
    shipped, more = load_rules().digest, load_rules([own]).digest

    def refused(words: str, *options: object) -> None:
        sent = publish(centre, *options)
        assert sent.code == 0, sent.err
        until(lambda: words in worker.said(), 20, f"{words}: {worker.said()}")

    refused("the pack: is not signed, and [rules] require_signed asks for it", "--rules", own)
    refused("the pack: is signed by key ", "--rules", own, "--key", centre.folder / "other.key")
    assert runs(worker, shipped)
    sent = publish(centre, "--rules", own, "--key", centre.folder / "ops.key", "--version", 9)
    assert sent.code == 0 and "version 9, " in sent.out, sent.err
    until(lambda: runs(worker, more), 20, worker.said())
    refused("the pack is older (version 8) than the one in force (version 9)", "--key", centre.folder / "ops.key",
            "--version", 8)  # fmt: skip
    assert runs(worker, more) and worker.metric("rules_reloads_total", "refused") == 3


def test_a_file_that_changes_is_read_again_by_a_worker_that_reads_files(centre: Centre, own: Path) -> None:
    worker = centre.worker("one", "--rules", own).wait_ready()
    assert runs(worker, load_rules([own]).digest)
    path = own / "detections" / "own.yml"
    path.write_text("x: 1\n", "utf-8")
    until(lambda: "the rules stay as they were: " in worker.said(), 20, worker.said())
    path.write_text(RULE.replace("level: low", "level: medium"), "utf-8")
    until(lambda: runs(worker, load_rules([own]).digest), 20, worker.said())


def test_a_worker_that_finds_only_a_bad_pack_begins_with_its_own_rules(centre: Centre) -> None:
    centre.producer.send(centre.rules, key=KEY, value=b"junk", headers=[("schema", SCHEMA)], partition=0)
    centre.producer.flush(30)
    worker = centre.worker("one").wait_ready()
    assert runs(worker, load_rules().digest) and worker.metric("rules_reloads_total", "refused") == 1
    assert "the rules stay as they were" in worker.said()


def test_wrong_rules_are_never_sent(centre: Centre, own: Path) -> None:
    (own / "detections" / "own.yml").write_text("x: 1\n", "utf-8")
    sent = publish(centre, "--rules", own)
    assert sent.code == 1 and "own.yml: x: no such key in a rule" in sent.err
    assert centre.read(centre.rules) == []


def test_no_broker_and_no_topic_are_one_line_each(centre: Centre, tmp_path: Path) -> None:
    nobody = spawn("rules", "publish", "--kafka", "127.0.0.1:1", state=tmp_path)
    assert nobody.code == 1 and len(nobody.complaints) == 1 and "127.0.0.1:1: no broker answers" in nobody.err
    missing = spawn(
        "rules", "publish", "--kafka", centre.address, state=tmp_path, LENSWATCH_WORKER_RULES_TOPIC='"no.1"'
    )
    assert missing.code == 1 and len(missing.complaints) == 1 and "no.1" in missing.err
