"""Waiting for what must come, and ports of one's own: what every test of this folder does, on a machine of any speed.

A test waits for the condition itself, never for as long as that usually takes; PATIENCE_S is when it is given up, and long enough for a
machine several times slower than ours that does something else beside.
"""
import pathlib
import random
import socket
import time

PATIENCE_S = 180
EPHEMERAL = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
given = set()


def until(done, otherwise, seconds=PATIENCE_S, every=0.05):
    """What done() returns, as soon as that is true. otherwise(last): the words when it is not within so long, or just the words."""
    end = time.monotonic() + seconds
    while not (last := done()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {otherwise(last) if callable(otherwise) else otherwise}")
        time.sleep(every)
    return last


def until_none(left, what, seconds=PATIENCE_S, every=0.5):
    """Until left() is empty. what(): the words that stand before the last that was left."""
    held = []

    def done():
        held[:] = [left()]
        return not held[0]

    until(done, lambda _: f"{what()}: {held[0]}", seconds, every)


def free_port():
    """Nobody listens there, this process was not given it before, and the kernel gives it to nobody who connects."""
    first = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else 32768
    while True:
        port = random.SystemRandom().randrange(10240, min(20480, first)) if first > 10500 else 0
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            port = s.getsockname()[1]
        if port not in given:
            given.add(port)
            return port
