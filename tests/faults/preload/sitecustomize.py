"""A sitecustomize, loaded through PYTHONPATH, that watches or breaks a real command.

FAULTS_WATCH names a folder. Each call that changes the folder gets a number, and its name is
written to the file FAULTS_CALLS. Call number FAULTS_AT fails with errno FAULTS_ERRNO; if that is
`kill`, the process is killed. With FAULTS_ALONE=1, a process that opens a connection or writes into
Python's installation folders ends with code 99.
"""

import errno
import os
import signal
import sys
import sysconfig
from itertools import count
from pathlib import Path

WATCH = os.environ.get("FAULTS_WATCH")
AT = int(os.environ.get("FAULTS_AT", "-1"))
WHAT = os.environ.get("FAULTS_ERRNO", "")
numbers = count(1)


def reached(name):
    """Count one call, and break it if its number is FAULTS_AT."""
    if os.environ.get("FAULTS_CALLS"):
        with Path(os.environ["FAULTS_CALLS"]).open("a", encoding="utf-8") as calls:
            calls.write(f"{os.getpid()} {name}\n")
    if next(numbers) == AT:
        if WHAT == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(getattr(errno, WHAT), os.strerror(getattr(errno, WHAT)))


def inside(place):
    """Return whether a path or an open file is in the watched folder."""
    if isinstance(place, int):
        try:
            place = Path(f"/proc/self/fd/{place}").readlink()
        except OSError:
            return False
    return os.path.realpath(os.fspath(place)).startswith(WATCH)


def watched(name, changes=lambda *arguments: True):
    """Replace a function of `os` by one that counts its calls."""
    real = getattr(os, name)

    def call(place, *arguments, **options):
        if inside(place) and changes(place, *arguments):
            reached(name)
        return real(place, *arguments, **options)

    setattr(os, name, call)


if WATCH:
    for one in ("write", "fsync", "replace", "rename", "link", "unlink"):
        watched(one)
    watched("mkdir", lambda folder, *_: not Path(folder).is_dir())
    watched("open", lambda _, flags, *__: flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR))

OWN = tuple(sysconfig.get_paths()[name] for name in ("purelib", "stdlib"))


def alone(event, arguments):
    """End the process if it uses the network or writes into the installation."""
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind"):
        address = arguments[1] if event != "socket.getaddrinfo" else arguments[0]
        if not isinstance(address, str | bytes) or event == "socket.getaddrinfo":
            os.write(2, f"reached out: {event} {arguments}\n".encode())
            os._exit(99)
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(OWN):
        mode, flags = arguments[1], arguments[2] or 0
        writes = (mode and set(mode) & set("wax+")) or flags & (os.O_WRONLY | os.O_RDWR)
        if writes and ".pyc" not in arguments[0]:
            os.write(2, f"wrote into the installation: {arguments}\n".encode())
            os._exit(99)


if os.environ.get("FAULTS_ALONE"):
    sys.addaudithook(alone)
