"""Very many clients at once."""

import contextlib
import os

from harness import connect, free_port, read_exactly, service, talk

CLIENTS = 1000


def test_thousand_clients_hold_until_all_are_connected(hatchd):
    """Each has a program of its own, and gets back its own bytes."""
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", exec="/bin/cat", instances=CLIENTS,
                per_source="unlimited")
    )
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(CLIENTS)]
        daemon.wait_children(CLIENTS)
        texts = [os.urandom(512) for _ in clients]
        for client, text in zip(clients, texts):
            client.sendall(text)
        for client, text in zip(clients, texts):
            assert read_exactly(client, len(text)) == text
    daemon.wait_children(0)


def test_silent_clients_of_one_address_keep_nobody_out(hatchd):
    """With the limits as shipped: half of a service is the most that one address has."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp4:{port}", exec="/bin/cat")
        + service("other", listen=f"tcp4:{other}", exec="/bin/cat")
    )
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connect(port, source="127.0.0.2"))
        daemon.wait_children(256)
        for _ in range(20):
            assert talk(port, b"x") == b"x"
            assert talk(other, b"y") == b"y"
        daemon.wait_log(r"s: refused 127\.0\.0\.2:\d+")
    daemon.wait_children(0)
