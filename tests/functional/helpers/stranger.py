#!/usr/bin/env python3
"""Somebody who is not of a program's session speaks for it.

stranger.py NAME N TEXT: N messages to the socket of that name, each with a descriptor whose
close takes as long as an hour, or until this ends, which it does with its input.
"""

import array
import contextlib
import socket
import struct
import sys


def full_connection():
    """Of which nobody reads the other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ours = socket.create_connection(server.getsockname())
        held.append(server.accept()[0])
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    ours.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            ours.send(bytes(65536))
    return ours


def send_lingering(name, text):
    with full_connection() as last, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [last.fileno()]))]
        sock.sendmsg([text.encode()], rights, 0, name)


held = []
for _ in range(int(sys.argv[2])):
    send_lingering(sys.argv[1].replace("@", "\0", 1), sys.argv[3])
print("done", flush=True)
sys.stdin.read()
