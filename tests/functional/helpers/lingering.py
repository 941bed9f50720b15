"""A wait program that makes a lingering connection of its listening socket, and ends.

lingering.py PORT: of a peer on this machine that does not read.
"""

import contextlib
import socket
import struct
import sys

sock = socket.socket(fileno=0)
sock.shutdown(socket.SHUT_RDWR)
sock.setblocking(True)
sock.connect(("127.0.0.1", int(sys.argv[1])))
sock.setblocking(False)
with contextlib.suppress(BlockingIOError):
    while True:
        sock.send(bytes(65536))
sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
sock.detach()
