"""A network of our own, where all ports are free and nobody else is heard."""

import ctypes
import fcntl
import os
import pathlib
import socket
import struct

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
SIOCSIFADDR = 0x8916
IFF_UP = 1
LISTEN = "0A"  # state in proc(5)


def raise_loopback():
    request = struct.pack("16sh14x", b"lo", IFF_UP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, request)


def add_address(address):
    """Another one for the loopback interface."""
    name, port = b"lo:1", 0
    request = struct.pack("16sHH4s8x", name, socket.AF_INET, port, socket.inet_aton(address))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFADDR, request)


def isolate():
    """Move this process into a new network namespace, if it may.  True if so."""
    if os.geteuid() != 0 or ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        return False
    raise_loopback()
    return True


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def is_listening(port):
    """Does anybody at that port of an IPv4 address?  He does not notice."""
    lines = pathlib.Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    fields = (line.split() for line in lines)
    return any(f[3] == LISTEN and int(f[1].split(":")[1], 16) == port for f in fields)


def free_ports(count):
    """The first of so many ports in a row that were free a moment ago.

    Below those that the kernel gives to clients."""
    for first in range(7000, 30000 - count, 1000):
        if all(is_free(port) for port in range(first, first + count)):
            return first
    raise OSError(f"no {count} free ports in a row")
