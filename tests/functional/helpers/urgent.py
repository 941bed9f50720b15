#!/usr/bin/env python3
"""Waits for a byte out of band, and tells which one it was."""

import select
import socket

connection = socket.socket(fileno=0)
select.select([], [], [connection])
byte = connection.recv(1, socket.MSG_OOB)
connection.sendall(b"urgent: " + byte)
while connection.recv(100):  # a byte left unread would make the end a reset
    pass
