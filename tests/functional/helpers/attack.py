#!/usr/bin/env python3
"""What a user may try against a process, to get at its memory.

    attack.py PID ADDRESS       says for each attempt "NAME allowed|REASON"

ADDRESS, in hexadecimal, is read and written if that is possible at all.
"""

import ctypes
import errno
import os
import resource
import sys

SYS_PIDFD_GETFD = 438
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17

pid, address = int(sys.argv[1]), int(sys.argv[2], 16)
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
here = ctypes.create_string_buffer(b"X" * 16)


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def vectors():
    mine = Vector(ctypes.addressof(here), 16)
    theirs = Vector(address, 16)
    return ctypes.byref(mine), ctypes.c_ulong(1), ctypes.byref(theirs), ctypes.c_ulong(1)


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


def process_vm_writev():
    checked(libc.process_vm_writev(pid, *vectors(), ctypes.c_ulong(0)))


def process_vm_readv():
    checked(libc.process_vm_readv(pid, *vectors(), ctypes.c_ulong(0)))


def memory(flags):
    fd = os.open(f"/proc/{pid}/mem", flags)
    try:
        os.lseek(fd, address, os.SEEK_SET)
        os.write(fd, b"X" * 16) if flags == os.O_WRONLY else os.read(fd, 16)
    finally:
        os.close(fd)


def seize():
    checked(libc.ptrace(PTRACE_SEIZE, pid, 0, 0))
    libc.ptrace(PTRACE_DETACH, pid, 0, 0)


def get_descriptor():
    pidfd = os.pidfd_open(pid)
    checked(libc.syscall(SYS_PIDFD_GETFD, pidfd, 0, 0))


def raise_core_limit():
    """Not refused: whoever has the uid may.  It must do no harm."""
    resource.prlimit(pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)


ATTEMPTS = {
    "prlimit": raise_core_limit,
    "process_vm_writev": process_vm_writev,
    "process_vm_readv": process_vm_readv,
    "mem_read": lambda: memory(os.O_RDONLY),
    "mem_write": lambda: memory(os.O_WRONLY),
    "maps": lambda: open(f"/proc/{pid}/maps").read(1),
    "environ": lambda: open(f"/proc/{pid}/environ").read(1),
    "fd": lambda: os.listdir(f"/proc/{pid}/fd"),
    "exe": lambda: os.readlink(f"/proc/{pid}/exe"),
    "oom_score_adj": lambda: open(f"/proc/{pid}/oom_score_adj", "w").write("1000"),
    "coredump_filter": lambda: open(f"/proc/{pid}/coredump_filter", "w").write("0x7f"),
    "pidfd_getfd": get_descriptor,
    "ptrace": seize,
}

for name, attempt in ATTEMPTS.items():
    try:
        attempt()
        print(name, "allowed")
    except OSError as error:
        print(name, errno.errorcode.get(error.errno, error.errno))
