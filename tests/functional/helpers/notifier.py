#!/usr/bin/env python3
"""A program with notify = yes that says of itself what its clients tell it to.

The listening socket is descriptor 3.  Each line of a client is a command, answered with a line
when it is done; in TEXT, \\n is a newline, and \\x1b and the like are bytes:

    say TEXT            send it
    child TEXT          another process of its session does, and is gone when that is answered
    stranger TEXT       the same by the leader of a session of its own
    flood N TEXT        N times
    pass N TEXT         with N descriptors
    barrier             come back when all that was said has been heard
    name, pid           the name of the socket, the number of the process
    exit N              end with that status
"""

import array
import os
import select
import socket

NAME = os.environ["NOTIFY_SOCKET"]
assert NAME.startswith("@")


def send(text, fds=()):
    data = text.encode("latin-1").decode("unicode_escape").encode("latin-1")
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendmsg([data], rights, 0, "\0" + NAME[1:])


def barrier():
    """As sd_notify_barrier(3): who listens closes what it is sent."""
    ours, theirs = os.pipe()
    send("BARRIER=1", [theirs])
    os.close(theirs)
    poll = select.poll()
    poll.register(ours, 0)
    poll.poll()
    os.close(ours)


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
    elif command == "barrier":
        barrier()
    elif command == "exit":
        os._exit(int(rest))
    return {"name": NAME, "pid": str(os.getpid())}.get(command, "done")


listener = socket.socket(fileno=3)
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
