"""`aftertouch replay`: times that are none, ranges that hold nothing. No broker is asked."""
import subprocess

import pytest


def replay(program, *words):
    return subprocess.run([program, "replay", "--verify", *words, "--set", "kafka.bootstrap.servers=127.0.0.1:9"], capture_output=True, text=True,
                          timeout=60, check=False)


@pytest.mark.parametrize("option", ["--from", "--until"])
@pytest.mark.parametrize("time", ["2026-13-45T99:00:00Z", "2026-02-30T00:00:00Z", "2026-02-03T24:00:01Z", "yesterday", "2026-02-03"])
def test_a_time_that_is_none(program, option, time):
    done = replay(program, option, time)
    assert done.returncode == 2 and time in done.stderr, (done.returncode, done.stderr)


def test_a_range_with_nothing_in_it(program):
    done = replay(program, "--from", "2026-02-03T10:00:00Z", "--until", "2026-02-03T09:00:00Z")
    assert done.returncode == 2 and "not before" in done.stderr, (done.returncode, done.stderr)
