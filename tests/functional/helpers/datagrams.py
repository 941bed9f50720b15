#!/usr/bin/env python3
"""A datagram server that is handed its socket as standard input.

Answers each datagram with itself; ends after so many (default 1), or when a
datagram says "end".
"""

import socket
import sys

server = socket.socket(fileno=0)
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
    data, peer = server.recvfrom(65536)
    if peer:
        server.sendto(data, peer)
    else:
        print("from nobody:", data.decode(), file=sys.stderr, flush=True)
    if data == b"end":
        break
