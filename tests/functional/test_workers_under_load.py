"""Workers that die while many come: whom they had is lost, and nothing else."""

import contextlib
import os
import signal
import threading

import pytest

from harness import (
    connect, free_port, read_exactly, service, stanza, talk, wait_until, workers,
)

KILLS = 10
CROWD = 4


def echo(port):
    return stanza("service", "x", listen=f"tcp:{port}", builtin="echo"), b""


def behind_a_proxy(port):
    text = service("x", listen=f"tcp:{port}", exec="/bin/cat", proxy_protocol="required",
                   proxy_from="127.0.0.1")
    return text, b"PROXY TCP4 192.0.2.1 192.0.2.2 1024 80\r\n"


def by_name(port):
    return (stanza("service", "mux", listen=f"tcp:{port}", builtin="tcpmux")
            + service("x", tcpmux="yes", exec="/bin/cat")), b"x\r\n"


def looked_up(port):
    """In hosts(5), or of whatever name servers there are; and of an identd that is not."""
    return service("x", listen=f"tcp:{port}", exec="/bin/cat", resolve=True, ident="yes",
                   lookup_timeout="10s"), b""


class Crowd:
    """Clients that come one after the other, each until it was served or lost."""

    def __init__(self, port, header):
        self.port, self.header = port, header
        self.served = self.lost = 0
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self._come) for _ in range(CROWD)]
        for thread in self.threads:
            thread.start()

    def _come(self):
        while not self.ended.is_set():
            try:
                answer = talk(self.port, self.header + b"x")
            except ConnectionResetError:
                answer = b""
            assert answer in (b"x", b"")
            if answer:
                self.served += 1
            else:
                self.lost += 1

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize(
    "kind", [echo, behind_a_proxy, by_name, looked_up], ids=lambda kind: kind.__name__)
def test_worker_dies_under_load(hatchd, kind):
    """Ten times; the next client is served each time, and in the end nothing is left."""
    port, other = free_port(), free_port()
    text, header = kind(port)
    daemon = hatchd.file(text + service("cat", listen=f"tcp:{other}", exec="/bin/cat"))
    with connect(other) as friend:
        crowd = Crowd(port, header)
        try:
            for _ in range(KILLS):
                before = crowd.served
                wait_until(lambda before=before: crowd.served > before + CROWD)
                for worker in workers(daemon.pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker, signal.SIGKILL)
                friend.sendall(b"x")
                assert read_exactly(friend, 1) == b"x"
        finally:
            crowd.end()
    # Each kill may cost those that the worker had, and no others; questions are asked again.
    assert crowd.lost <= (0 if kind is looked_up else KILLS * CROWD)
    assert talk(port, header + b"x") == b"x"
