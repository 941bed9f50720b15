"""Clients of a control socket who mean harm: control-crowd.py PATH KIND COUNT [FILE]

Writes a line when the first of them are there, and goes on until it is ended.

    idle     so many say nothing; who is sent away comes back
    half     the same, behind half a line
    unread   the same, behind a request whose answer they do not read
    follow   so many want to be told what happens, and read nothing
    flood    so many at a time ask, read the end and come again, without a pause
    garbage  so many at a time send megabytes of noise, or nothing
"""

import os
import random
import select
import socket
import sys

path, kind, count = sys.argv[1], sys.argv[2], int(sys.argv[3])

WORDS = {"idle": b"", "half": b"stat", "unread": b"list\n", "follow": b"events\n",
         "flood": b"status\n"}
NOISE = os.urandom(1 << 20)

events = select.epoll()
clients = {}


def words():
    if kind != "garbage":
        return WORDS[kind]
    return random.choice([b"", b"\n", b"\0" * 300, b"list " + NOISE[:100], NOISE, b"\n" * 5000])


def come():
    """False: the queue is full."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        client.connect(path)
    except OSError:
        client.close()
        return False
    try:
        said = words()
        if said:
            client.send(said)
        elif kind == "garbage":
            client.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    clients[client.fileno()] = client
    # Who does not read is told of the end alone.
    events.register(client, select.EPOLLIN if kind in ("flood", "garbage") else 0)
    return True


def go(fd):
    events.unregister(fd)
    clients.pop(fd).close()


def read(fd):
    try:
        while clients[fd].recv(65536):
            pass
    except BlockingIOError:
        return
    except OSError:
        pass
    go(fd)


told = False
while True:
    while len(clients) < count and come():
        pass
    if not told:
        told = True
        print("there", flush=True)
    # Whoever finds the queue full tries again soon.
    for fd, what in events.poll(0.001 if len(clients) < count else None):
        if what & select.EPOLLIN:
            read(fd)
        else:
            go(fd)
