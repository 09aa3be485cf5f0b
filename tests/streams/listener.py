"""A server that reads from a stream, as a test wants it: it may read nothing, die, close, and come back."""

import contextlib
import re
import socket
import ssl
import struct
import threading
import time

SECONDS = 10.0
HEAD = re.compile(
    rb"<(\d{1,3})>1 (\S+) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) "
    rb'(-|(?:\[[!-<>-\\^-~]{1,32}(?: [!-<>-\\^-~]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*\])+)(?: (.*))?',
    re.DOTALL,
)
PARAMETER = re.compile(r'([!-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"')


class Listener:
    """Listens on a port of the loopback address that stays the same over `stop` and `start`. Each connection's bytes
    are one element of `got`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.got: list[bytearray] = []
        self.port = 0
        self.reads = threading.Event()
        self.reads.set()
        # How long it takes over each 64 KiB that it reads.
        self.pause_seconds = 0.0
        self._tls, self._open = tls, True
        self._socket: socket.socket | None = None
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> "Listener":
        """Listen."""
        self._open = True
        self._socket = socket.create_server(("127.0.0.1", self.port))
        # A receiver that reads nothing is full soon.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.port = self._socket.getsockname()[1]
        self._run(self._accept, self._socket)
        return self

    def _run(self, function: object, *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)  # type: ignore[arg-type]
        thread.start()
        self._threads.append(thread)

    def _accept(self, listening: socket.socket) -> None:
        while self._open:
            try:
                made, _ = listening.accept()
            except OSError:
                return
            self._connections.append(made)
            self._run(self._read, made)

    def _read(self, made: socket.socket) -> None:
        try:
            if self._tls is not None:
                made = self._tls.wrap_socket(made, server_side=True)
                self._connections.append(made)
            mine = bytearray()
            self.got.append(mine)
            while self.reads.wait(SECONDS) and (data := made.recv(65_536)):
                mine += data
                time.sleep(self.pause_seconds)
        except OSError:
            pass
        finally:
            made.close()

    def drop(self) -> None:
        """End every connection at once, without a word of parting (RST)."""
        for each in self._connections:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RD)
            with contextlib.suppress(OSError):
                each.close()
        self._connections.clear()

    def stop(self) -> None:
        """Listen no more, and end every connection."""
        self._open = False
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
        self.drop()
        self.reads.set()
        for thread in self._threads:
            thread.join(SECONDS)
        self._threads.clear()

    def messages(self) -> list[bytes]:
        """What came, of all connections; the end of one may be half a message."""
        return [message for got in self.got for message in unframed(bytes(got))]

    def __enter__(self) -> "Listener":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def unframed(data: bytes) -> list[bytes]:
    """Messages by RFC 6587, 3.4.1: each is `MSG-LEN SP SYSLOG-MSG`."""
    found = []
    while data:
        length, blank, rest = data.partition(b" ")
        if not blank or len(rest) < int(length):
            break
        assert length.isdigit() and not length.startswith(b"0")
        found.append(rest[: int(length)])
        data = rest[int(length) :]
    return found


def read_message(message: bytes) -> tuple[list[str], dict[str, str], bytes]:
    """The fields of a message's head, the parameters of its structured data, and its body, by RFC 5424, 6."""
    found = HEAD.fullmatch(message)
    assert found is not None, message[:300]
    head = [each.decode("ascii") for each in found.groups()[:6]]
    data = found[7].decode()
    values = {key: re.sub(r"\\(.)", r"\1", value) for key, value in PARAMETER.findall(data)}
    return head, values, found[8] or b""
