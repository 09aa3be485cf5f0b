"""A tshark that is fed packets through a pipe and says of each what its dissectors find.

What goes in is pcapng (`pcapng_writer`); what comes out is PDML, one `<packet>` element for each packet that went in,
in the same order. It reads from its standard input, so that no dumpcap is started and no file is written. It ends when
the pipe is closed, and so when we die.
"""

import contextlib
import os
import queue
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from collector.errors import LenswatchError

MAX_ANSWER_BYTES = 64 << 20
"""Of one packet's dissection; tshark is stopped at a longer one."""
MAX_ERROR_BYTES = 1 << 20
READ_BYTES = 1 << 16
END_SECONDS = 5.0

_END = b"</packet>"


def find_tshark() -> str:
    """Where tshark is. Raises LenswatchError."""
    found = shutil.which("tshark")
    if found is None:
        raise LenswatchError("tshark is not installed: install it (Debian, Ubuntu: apt-get install tshark)")
    return found


class Tshark:
    """One process. `answers` gets the PDML of each packet that was written, in order, and None when it has ended.

    With `memory_bytes` it may take no more than that. Raises LenswatchError where it cannot be started.
    """

    def __init__(self, preferences: Sequence[str] = (), memory_bytes: int = 0) -> None:
        command = [find_tshark(), "-n", "-l", "-Q", "-r", "-", "-T", "pdml"]
        for preference in preferences:
            command += ["-o", preference]
        self.answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        # A session of its own: Ctrl-C at the terminal is for us, and we end it when all is told.
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
            )
        except OSError as error:
            self._errors.close()
            raise LenswatchError(f"{command[0]}: cannot be started: {error.strerror or error}") from error
        self.pid = self._process.pid
        assert self._process.stdin is not None
        self._input = self._process.stdin.fileno()
        os.set_blocking(self._input, False)
        self._limit(memory_bytes)
        self._reader = threading.Thread(target=self._read, name="tshark", daemon=True)
        self._reader.start()

    def _limit(self, memory_bytes: int) -> None:
        if hasattr(resource, "prlimit"):
            with contextlib.suppress(OSError, ValueError):
                resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (MAX_ERROR_BYTES, MAX_ERROR_BYTES))
                resource.prlimit(self.pid, resource.RLIMIT_CORE, (0, 0))
                if memory_bytes:
                    resource.prlimit(self.pid, resource.RLIMIT_AS, (memory_bytes, memory_bytes))

    def send(self, data: bytes | memoryview, seconds: float) -> int:
        """Hand over packets, as many bytes as it takes within `seconds`: how many that is, or -1 when it has ended."""
        try:
            if not select.select((), (self._input,), (), seconds)[1]:
                return 0
            return os.write(self._input, data)
        except BlockingIOError:
            return 0
        except OSError:
            return -1

    def _read(self) -> None:
        """Cut what it says into packets."""
        assert self._process.stdout is not None
        held = bytearray()
        with contextlib.suppress(OSError, ValueError):
            while part := os.read(self._process.stdout.fileno(), READ_BYTES):
                searched = max(len(held) - len(_END), 0)
                held += part
                begin = 0
                while (end := held.find(_END, max(begin, searched))) >= 0:
                    end += len(_END)
                    self.answers.put(bytes(held[begin:end]))
                    begin = end
                del held[:begin]
                if len(held) > MAX_ANSWER_BYTES:
                    self._process.kill()
                    break
        self.answers.put(None)

    def cpu_seconds(self) -> float:
        """How long the processor has worked for it; 0 where nobody says (proc_pid_stat(5): fields 14 and 15)."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def why(self) -> str:
        """Why it has ended, in words: its own last ones, or the signal."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        self._errors.seek(0)
        said = self._errors.read(MAX_ERROR_BYTES).decode("utf-8", "replace").splitlines()
        lines = [line.removeprefix("tshark: ") for line in said if line.strip() and "Running as user" not in line]
        code = self._process.returncode
        if code is not None and code < 0:
            return f"tshark was ended by {signal.Signals(-code).name}"
        return f"tshark ended by itself: {lines[-1] if lines else f'exit code {code}'}"

    def close(self) -> None:
        """End it, at once."""
        self._process.kill()
        # A number that is closed under a reader may be another file's before it reads again.
        self._reader.join(END_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.wait()
        self._errors.close()
