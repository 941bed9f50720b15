#!/usr/bin/env python3
"""A program with notify = yes that says of itself what its clients tell it to.

The listening socket is descriptor 3.  Each line of a client is a command, answered with a line
when it is done; in TEXT, \\n is a newline, and \\x1b and the like are bytes:

    say TEXT            send it
    child TEXT          another process of its session does, and is gone when that is answered
    stranger TEXT       the same by the leader of a session of its own
    flood N TEXT        N times
    pass N TEXT         with N descriptors
    linger TEXT         with one whose close takes as long as a minute
    release             or until then
    barrier             come back when all that was said has been heard
    name, pid           the name of the socket, the number of the process
    exit N              end with that status
"""

import array
import contextlib
import os
import select
import socket
import struct

NAME = os.environ["NOTIFY_SOCKET"]
ADDRESS = NAME.replace("@", "\0", 1)


def send(text, fds=()):
    data = text.encode("latin-1").decode("unicode_escape").encode("latin-1")
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendmsg([data], rights, 0, ADDRESS)


def barrier():
    """As sd_notify_barrier(3): who listens closes what it is sent."""
    ours, theirs = os.pipe()
    send("BARRIER=1", [theirs])
    os.close(theirs)
    poll = select.poll()
    poll.register(ours, 0)
    poll.poll()
    os.close(ours)


def send_lingering(text):
    """A connection that is full, of which the last copy is the one on its way."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        held.append(server.accept()[0])
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
    ours.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            ours.send(bytes(65536))
    send(text, [ours.fileno()])
    ours.close()


def by_another(text, leader):
    """It waits to be heard, as systemd-notify does: nobody knows who is gone."""
    pid = os.fork()
    if pid == 0:
        if leader:
            os.setsid()
        send(text)
        barrier()
        os._exit(0)
    os.waitpid(pid, 0)


def obey(command, rest):
    if command == "say":
        send(rest)
    elif command in ("child", "stranger"):
        by_another(rest, command == "stranger")
    elif command == "flood":
        count, _, text = rest.partition(" ")
        for _ in range(int(count)):
            send(text)
    elif command == "pass":
        count, _, text = rest.partition(" ")
        send(text, [0] * int(count))
    elif command == "linger":
        send_lingering(rest)
    elif command == "release":
        held.pop().close()
    elif command == "barrier":
        barrier()
    elif command == "exit":
        os._exit(int(rest))
    return {"name": NAME, "pid": str(os.getpid())}.get(command, "done")


listener = socket.socket(fileno=3)
held = []
clients = {}
while True:
    for ready in select.select([listener, *clients], [], [])[0]:
        if ready is listener:
            client, _ = listener.accept()
            clients[client] = client.makefile("r")
            continue
        line = clients[ready].readline()
        if not line:
            clients.pop(ready).close()
            ready.close()
            continue
        said = obey(*line.rstrip("\n").partition(" ")[::2])
        ready.sendall(said.encode() + b"\n")
