"""Put before Python's own by PYTHONPATH: watches, or breaks, what a real command does.

FAULTS_WATCH names a folder: each call that changes something in it is numbered, and its name is
written to the file FAULTS_CALLS. At number FAULTS_AT the call fails with errno FAULTS_ERRNO, or the
process is killed where that is `kill`. With FAULTS_ALONE=1, a process that opens a connection or
writes into Python's own folders ends with code 99.
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
    """One more call; break it where it is this one's turn."""
    if os.environ.get("FAULTS_CALLS"):
        with Path(os.environ["FAULTS_CALLS"]).open("a", encoding="utf-8") as calls:
            calls.write(f"{os.getpid()} {name}\n")
    if next(numbers) == AT:
        if WHAT == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(getattr(errno, WHAT), os.strerror(getattr(errno, WHAT)))


def inside(place):
    """Does a path, or an open file, lie in the folder that is watched?"""
    if isinstance(place, int):
        try:
            place = Path(f"/proc/self/fd/{place}").readlink()
        except OSError:
            return False
    return os.path.realpath(os.fspath(place)).startswith(WATCH)


def watched(name, changes=lambda *arguments: True):
    """The call of `os`, numbered."""
    real = getattr(os, name)

    def call(place, *arguments, **options):
        if inside(place) and changes(*arguments):
            reached(name)
        return real(place, *arguments, **options)

    setattr(os, name, call)


if WATCH:
    for one in ("write", "fsync", "replace", "rename", "link", "unlink", "mkdir"):
        watched(one)
    watched("open", lambda flags, *_: flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR))

OWN = tuple(sysconfig.get_paths()[name] for name in ("purelib", "stdlib"))


def alone(event, arguments):
    """End the process on whatever reaches out."""
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
