"""What a service manager hears of the three commands that run for long, over a real NOTIFY_SOCKET."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.streams.command import PROGRAM, environment
from tests.system.broker import Broker, free_ports
from tests.system.centre import Centre, centre_at
from tests.system.edge import FILE_HEADER, packet
from tests.system.notified import NotifySocket

pytestmark = pytest.mark.system
WATCHDOG = {"WATCHDOG_USEC": "600000"}


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[NotifySocket]:
    with contextlib.closing(NotifySocket(tmp_path)) as end:
        yield end


@pytest.fixture
def notified(broker: Broker, manager: NotifySocket, tmp_path: Path) -> Iterator[Centre]:
    """A centre whose worker has a service manager."""
    variables = WATCHDOG | {"NOTIFY_SOCKET": str(manager.path)}
    with centre_at(broker.address, tmp_path / "centre", variables=variables) as made:
        yield made


@contextlib.contextmanager
def service(manager: NotifySocket, folder: Path, *arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A command that reads a capture from its standard input, under a watchdog."""
    with (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [str(PROGRAM), *arguments], stdin=subprocess.PIPE, stdout=err, stderr=err,
            env=environment(folder, WATCHDOG | {"NOTIFY_SOCKET": str(manager.path)}),
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def give(process: "subprocess.Popen[bytes]", data: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


def test_a_collector_is_ready_with_the_first_packet_and_lives_while_it_waits(
    manager: NotifySocket, tmp_path: Path
) -> None:
    nobody = f"127.0.0.1:{free_ports(1)[0]}"
    settings = tmp_path / "lenswatch.toml"
    settings.write_text('[collector]\nmetrics = ""\n[spool]\ndrain_seconds = 0\n', "utf-8")
    with service(manager, tmp_path, "collect", "-", "--kafka", nobody, "--config", str(settings)) as process:
        give(process, FILE_HEADER)
        manager.wait("STATUS=waiting for the first packet")
        for _ in range(3):
            manager.wait("WATCHDOG=1", 10)
        assert "READY=1" not in manager.said, "no packet has been read"
        give(process, packet(1, 1_762_070_400.0))
        manager.wait("READY=1", 10)
        manager.wait("STATUS=packets are being read", 1)
        for _ in range(3):
            manager.wait("WATCHDOG=1", 10)
        process.send_signal(signal.SIGTERM)
        manager.wait("STOPPING=1", 10)
        assert process.wait(20) == 0


def test_a_watch_tells_when_it_reads_its_rules_anew(manager: NotifySocket, tmp_path: Path) -> None:
    with service(manager, tmp_path, "watch", "-") as process:
        give(process, FILE_HEADER + packet(1, 1_762_070_400.0))
        manager.wait("READY=1")
        process.send_signal(signal.SIGHUP)
        manager.wait("RELOADING=1", 10)
        manager.wait("READY=1", 30)
        process.send_signal(signal.SIGTERM)
        manager.wait("STOPPING=1", 10)
        process.wait(20)


def test_a_worker_is_ready_with_its_tables_and_is_heard_of_until_its_end(
    notified: Centre, manager: NotifySocket
) -> None:
    worker = notified.worker("w1")
    manager.wait("READY=1", 60)
    assert worker.get("/readyz") is not None
    for _ in range(3):
        manager.wait("WATCHDOG=1", 10)
    worker.process.send_signal(signal.SIGHUP)
    manager.wait("RELOADING=1", 10)
    manager.wait("READY=1", 30)
    worker.process.send_signal(signal.SIGTERM)
    manager.wait("STOPPING=1", 10)
    assert worker.process.wait(40) == 0, worker.said()


def test_a_worker_that_stands_still_is_not_heard_of(notified: Centre, manager: NotifySocket) -> None:
    worker = notified.worker("w1")
    manager.wait("READY=1", 60)
    manager.wait("WATCHDOG=1", 10)
    worker.process.send_signal(signal.SIGSTOP)
    manager.listen(0.5)
    manager.said.clear()
    assert manager.listen(2.0) == []
    worker.process.send_signal(signal.SIGCONT)
    manager.wait("WATCHDOG=1", 10)
    assert worker.end() == 0


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a network of its own and give rights up")
def test_one_right_is_enough_to_read_an_interface(manager: NotifySocket, tmp_path: Path) -> None:
    """As the manifests and units have it: every right but CAP_NET_RAW is gone, and none can come back."""
    settings = tmp_path / "lenswatch.toml"
    settings.write_text('[collector]\nmetrics = ""\n[spool]\ndrain_seconds = 0\n', "utf-8")
    talk = "import socket, time\nwhile True: socket.socket(2, 2).sendto(b'x', ('127.0.0.1', 9)); time.sleep(0.2)"
    script = 'ip link set lo up; "$1" -c "$2" & shift 2; exec setpriv --no-new-privs --inh-caps=-all "$@"'
    command = [
        "unshare", "--net", "sh", "-c", script, "sh", sys.executable, talk, "--bounding-set=-all,+net_raw",
        str(PROGRAM), "collect", "lo", "--kafka", f"127.0.0.1:{free_ports(1)[0]}", "--config", str(settings),
    ]  # fmt: skip
    with (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=err, stderr=err, start_new_session=True,
            env=environment(tmp_path, WATCHDOG | {"NOTIFY_SOCKET": str(manager.path)}),
        )  # fmt: skip
    try:
        manager.wait("READY=1", 60)
        rights = Path(f"/proc/{process.pid}/status").read_text("utf-8")
        assert {line.split()[1] for line in rights.splitlines() if line.startswith(("CapEff", "CapBnd"))} == {
            f"{1 << 13:016x}"
        }
        process.terminate()
        manager.wait("STOPPING=1", 10)
        assert process.wait(20) == 0, (tmp_path / "err").read_text("utf-8")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
