"""What a tool runs of the dev build is brought up to date first, so that it can be started in a fresh checkout."""

import fcntl
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build/dev"


def _run(command, log):
    """One line and the end when it fails: what the reader types to see why."""
    text = " ".join(command)
    try:
        status = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log).returncode
    except FileNotFoundError:
        sys.exit(f"{sys.argv[0]}: there is no {command[0]}: tools/setup installs what is missing, then {text}")
    if status != 0:
        sys.exit(f"{sys.argv[0]}: what it runs cannot be built; see {log.name}, or run {text}")


def bring_up(*targets):
    """Configures and builds these targets; not kspool where KSPOOL_BINARY names another one. One process at a time."""
    targets = [target for target in targets if target != "kspool" or "KSPOOL_BINARY" not in os.environ]
    if not targets:
        return
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(ROOT / ".build/built.log", "a") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        log.truncate(0)
        if not (BUILD / "build.ninja").exists():
            print(f"{sys.argv[0]}: building {' '.join(targets)} in {BUILD}", file=sys.stderr, flush=True)
            _run(["cmake", "--preset", "dev"], log)
        _run(["cmake", "--build", str(BUILD), "-j", str(os.cpu_count() or 2), "--target", *targets], log)
