"""Where a measurement comes from: machine, interpreter, commit, library version.

Read, never guessed: what cannot be read is None.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def machine() -> dict[str, object]:
    """CPU model, cores, governor, memory, system and interpreter."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "governor": _first_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        "memory_bytes": _memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def moment() -> dict[str, object]:
    """The time and how busy the machine is: the mean number of running processes over the last minute."""
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def version(distribution: str) -> str | None:
    """The installed version of a distribution, None where it is not installed (or is this checkout itself)."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


PACKAGE = ("bbpe", "setup.py", "pyproject.toml")


def commit() -> str | None:
    """The last commit that changed the package or its build, with `+` where the working tree differs from it."""
    last = _git("log", "-1", "--format=%h", "--abbrev=12", "--", *PACKAGE)
    if not last:
        return None
    return f"{last}+" if _git("status", "--porcelain", "--", *PACKAGE) else last


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)


def _memory() -> int | None:
    if sys.platform == "win32":
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
