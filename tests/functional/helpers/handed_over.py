#!/usr/bin/env python3
"""A server that is handed its listening socket as standard input (wait = yes).

Echoes what each client sends; ends after so many clients (default 1).
"""

import socket
import sys

server = socket.socket(fileno=0)
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
    connection, peer = server.accept()
    with connection:
        while True:
            data = connection.recv(65536)
            if not data:
                break
            connection.sendall(data)
