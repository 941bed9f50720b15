"""The clients of arrivals.py: each who is not served as he is to be is told of, and how."""

import contextlib
import socket
import struct
import threading

import pytest

from arrivals import Arrivals, endpoint, expect_all_served
from harness import free_port, read_all, service, stanza, wait_until


class Server:
    """Serves one after the other: does that with the connection and its number, from 0 on."""

    def __init__(self, act, address=None):
        self.act = act
        self.port = free_port()
        self.sock = socket.create_server(("127.0.0.1", self.port), backlog=100)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        number = 0
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.sock.accept()
                with client:
                    self.act(client, number)
                number += 1

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.sock.close()


@contextlib.contextmanager
def serving(act):
    with contextlib.closing(Server(act)) as server:
        yield endpoint(server.port)


def echo(client, number):
    client.sendall(read_all(client))


def only(bad, which):
    """One of all is served like that, and the others as they are to be."""
    return lambda client, number: (bad if number == which else echo)(client, number)


def reset(client, number):
    read_all(client)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent(client, number):
    read_all(client)


def one_byte_less(client, number):
    client.sendall(read_all(client)[:-1])


def one_byte_more(client, number):
    client.sendall(read_all(client) + b"\n")


def one_byte_else(client, number):
    words = bytearray(read_all(client))
    words[50] ^= 1
    client.sendall(words)


class Mixed:
    """Each hears what the one before him has said."""

    def __init__(self):
        self.last = b""

    def __call__(self, client, number):
        words, self.last = self.last, read_all(client)
        client.sendall(words or self.last)


class Sitting:
    """Says nothing and does not go, before the test is over."""

    def __init__(self):
        self.kept = []

    def __call__(self, client, number):
        self.kept.append(client.dup())


# ---------------------------------------------------------------------------
# Those who come and go


def test_all_are_served(hatchd, folder):
    """Programs and workers, of all sockets; who stays goes on until he is told to end."""
    ports = [free_port() for _ in range(5)]
    path = f"unix:{folder}/sock"
    hatchd.file(
        service("cat", listen=[f"tcp:{ports[0]}", path], exec="/bin/cat")
        + stanza("service", "echo", listen=f"tcp:{ports[1]}", builtin="echo")
        + stanza("service", "post", listen=endpoint(ports[4], "udp"), builtin="echo")
        + stanza("service", "relay", listen=f"tcp:{ports[2]}",
                 redirect=f"tcp:127.0.0.1:{ports[1]}")
        + service("each", listen=f"udp:{ports[3]}", exec="/bin/cat"))
    places = [endpoint(port) for port in ports[:3]] + [path, endpoint(ports[4], "udp")]
    staying = [*places, endpoint(ports[3], "udp")]
    with Arrivals(*places, lasting=staying, each=2, interval=0.01) as crowd:
        crowd.wait_served(100)
        crowd.wait_served(100, "exchanges")
        assert crowd.now()["there"] >= 2 * len(staying)
    expect_all_served(crowd)
    assert crowd.totals["over"] and crowd.totals["there"] == 0


def test_refused():
    port = free_port()
    with Arrivals(endpoint(port), f"unix:@hatchd-test/{port}") as crowd:
        wait_until(lambda: crowd.now()["refused"] >= 10)
    assert crowd.totals["refused"] == crowd.totals["begun"]
    assert {(one["failed"], one["error"]) for one in crowd.failures} == {
        ("connect", "ECONNREFUSED")}


@pytest.mark.parametrize("act, step, error, count", [
    (reset, "receive", "ECONNRESET", "reset"),
    (silent, "short", "", "lost"),
    (one_byte_less, "short", "", "lost"),
    (one_byte_more, "wrong", "", "wrong"),
    (one_byte_else, "wrong", "", "wrong"),
], ids=lambda value: getattr(value, "__name__", None))
def test_one_of_many(act, step, error, count):
    """He is found, and the others are none the worse."""
    with serving(only(act, 30)) as address, Arrivals(address, most=1) as crowd:
        crowd.wait_served(60)
        totals = crowd.stop()
    (found,) = crowd.failures
    assert (found["failed"], found["error"]) == (step, error)
    assert found["number"] == 30 and found["address"] == address and not found["lasting"]
    assert totals[count] == 1 and totals["served"] == totals["begun"] - 1
    assert found["begun"] <= found["at"]


def test_words_of_another():
    with serving(Mixed()) as address, Arrivals(address, most=1) as crowd:
        wait_until(lambda: crowd.now()["wrong"] >= 10)
    assert crowd.totals["wrong"] == crowd.totals["begun"] - 1
    assert {one["number"] for one in crowd.failures} == set(range(1, crowd.totals["begun"]))


def test_late():
    with serving(Sitting()) as address, Arrivals(address, most=3, patience=0.1) as crowd:
        wait_until(lambda: crowd.now()["lost"] >= 5)
        assert crowd.now()["there"] <= 3
    assert len(crowd.of("late")) == crowd.totals["begun"] == crowd.totals["lost"]
    assert crowd.totals["held"] > 0


# ---------------------------------------------------------------------------
# Those who stay


def few_exchanges(client, number):
    for _ in range(3):
        client.sendall(client.recv(1000))
    client.shutdown(socket.SHUT_WR)
    read_all(client)


def answers_twice(client, number):
    words = client.recv(1000)
    client.sendall(words + words)
    read_all(client)


@pytest.mark.parametrize("act, step", [(few_exchanges, "short"), (answers_twice, "wrong")],
                         ids=lambda value: getattr(value, "__name__", None))
def test_who_stays(act, step):
    with serving(act) as address:
        with Arrivals(lasting=[address], each=1, interval=0.001) as crowd:
            wait_until(lambda: crowd.failures)
    (found,) = crowd.failures
    assert found["failed"] == step and found["lasting"]
    assert crowd.totals["served"] == 0
