"""A file system with one file.

It is read in vain once, and then never: who wants a page of it in his memory tries again and
holds on to his memory meanwhile, so that others wait for that too.

Enough of FUSE for that, spoken to the kernel: see fuse(4) and linux/fuse.h.
"""

import contextlib
import ctypes
import errno
import os
import stat
import struct
import threading

_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _INIT = 1, 2, 3, 14, 15, 26
_ASYNC_READ = 1
_MNT_DETACH = 2
_ROOT, _FILE = 1, 2
_SIZE = 4096


def _attributes(node):
    mode = stat.S_IFDIR | 0o755 if node == _ROOT else stat.S_IFREG | 0o644
    return struct.pack("=QQQQQQIIIIIIIIII", node, _SIZE, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0,
                       4096, 0)


def _answer(operation, node):
    """None: nobody is answered."""
    if operation == _INIT:
        return struct.pack("=IIIIHHIIHHI28x", 7, 31, 0, _ASYNC_READ, 12, 9, 4096, 1, 1, 0, 0)
    if operation == _LOOKUP:
        return struct.pack("=QQQQII", _FILE, 0, 60, 60, 0, 0) + _attributes(_FILE)
    if operation == _GETATTR:
        return struct.pack("=QII", 60, 0, 0) + _attributes(node)
    if operation == _OPEN:
        return struct.pack("=QII", 0, 0, 0)
    return None


def _serve(device):
    n_read = 0
    # It ends with the file system.
    with contextlib.suppress(OSError):
        while True:
            request = os.read(device, 1 << 18)
            _, operation, unique, node = struct.unpack_from("=IIQQ", request)
            n_read += operation == _READ
            if operation == _FORGET or (operation == _READ and n_read > 1):
                continue
            data = _answer(operation, node)
            error = 0 if data is not None else -(errno.EIO if n_read else errno.ENOSYS)
            data = data or b""
            os.write(device, struct.pack("=IiQ", 16 + len(data), error, unique) + data)


@contextlib.contextmanager
def slow_file(folder):
    """Its path; OSError if there cannot be such a file system here."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    place = os.fsencode(folder)
    if libc.mount(b"slow", place, b"fuse", 0, options) < 0:
        os.close(device)
        raise OSError(ctypes.get_errno(), "mount")
    server = threading.Thread(target=_serve, args=[device], daemon=True)
    server.start()
    try:
        yield folder / "file"
    finally:
        libc.umount2(place, _MNT_DETACH)
        os.close(device)
