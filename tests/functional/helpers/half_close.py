#!/usr/bin/env python3
"""Ends its own direction first, then counts what still comes in; tells on stderr."""

import socket
import sys

connection = socket.socket(fileno=1)
connection.sendall(b"no more from here\n")
connection.shutdown(socket.SHUT_WR)
count = 0
while True:
    data = connection.recv(65536)
    if not data:
        break
    count += len(data)
print(f"half_close: {count} bytes", file=sys.stderr, flush=True)
