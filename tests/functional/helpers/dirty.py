#!/usr/bin/env python3
"""dirty.py PROGRAM [ARGUMENT...]: run a program as a careless parent would.

Everything that is inherited is unusual: ignored and blocked signals, stray
descriptors, umask, scheduling class, affinity, I/O class, timer slack, session
keyring, working directory, environment.  What the kernel does not allow here is left out.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys

libc = ctypes.CDLL(None, use_errno=True)

for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, set(signal.valid_signals()))

for number in (3, 4, 7, 63, 200):
    os.dup2(os.open("/etc/passwd", os.O_RDONLY), number)
    os.set_inheritable(number, True)

os.umask(0)
resource.setrlimit(resource.RLIMIT_NOFILE, (512, 4096))
resource.setrlimit(resource.RLIMIT_CORE, (12345, 1234567))
with contextlib.suppress(OSError):
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
with contextlib.suppress(OSError):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
libc.syscall(251, 1, 0, 3 << 13)  # ioprio_set on x86-64: idle
libc.prctl(29, 1000000)  # PR_SET_TIMERSLACK
if sys.argv[1] == "--keyring":
    libc.syscall(250, 1, b"a-stray-keyring")  # keyctl(KEYCTL_JOIN_SESSION_KEYRING) on x86-64
    del sys.argv[1]

os.chdir("/tmp")
os.environ.update(
    SECRET="token", BASH_ENV="/tmp/evil", LD_LIBRARY_PATH="/nowhere", IFS="x",
    LISTEN_FDNAMES="stray", TCPREMOTEIP="6.6.6.6", HATCHD_SERVICE="another", PWD="/tmp",
)
os.execv(sys.argv[1], sys.argv[1:])
