"""Kill a training at random moments until it ends by itself, and compare what it wrote with an undisturbed one.

    python scripts/kill_training.py CORPUS... --kills 20 -- --vocab 8000 --memory 300MB

What follows ``--`` is for ``bbpe train``. It trains once in peace, without ``--memory``, then again with ``--resume``,
sends ``kill -9`` at random moments of its life, begins it again each time, and says in which phase each death came. It
exits with 1 where a byte differs, or where anything is left over in the end. What is written stands in a temporary folder.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-c", "from bbpe.cli import main; main()"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def without_memory(options: list[str]) -> list[str]:
    """The options but for the limit: a training that is not disturbed at all."""
    if "--memory" not in options:
        return options
    at = options.index("--memory")
    return options[:at] + options[at + 2 :]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", nargs="+", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save-every", default="0.2")
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:cut])
    training = arguments[cut + 1 :] or ["--vocab", "8000"]
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        train = [*COMMAND, "train", *map(str, options.corpus), "--progress", "json", "-q"]
        begun = time.monotonic()
        whole_command = [*train, *without_memory(training), "-o", str(place / "whole")]
        subprocess.run(whole_command, check=True, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        whole = time.monotonic() - begun
        print(f"undisturbed: {whole:.1f} s")
        deaths: collections.Counter[str] = collections.Counter()
        lives = 0
        while sum(deaths.values()) < options.kills:
            lives += 1
            kept, out = place / f"kept-{lives}", place / f"out-{lives}"
            resumed = [*train, *training, "-o", str(out), "--resume", str(kept), "--save-every", options.save_every]
            while True:
                with (place / "progress").open("w+") as progress:
                    process = subprocess.Popen(resumed, stdout=subprocess.DEVNULL, stderr=progress, env=ENVIRONMENT)
                    try:
                        process.wait(rng.uniform(0.05, 1.1) * whole if sum(deaths.values()) < options.kills else None)
                        break
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()
                    progress.seek(0)
                    lines = [line for line in progress if line.startswith("{") and line.endswith("}\n")]
                phases = [event["phase"] for event in map(json.loads, lines) if "phase" in event]
                phase = phases[-1] if phases else "starting"
                deaths[phase] += 1
                print(f"death {sum(deaths.values())}: {phase}", flush=True)
                if out.exists():
                    break
            if not out.exists():
                print(f"it ended with status {process.returncode} and wrote nothing")
                print((place / "progress").read_text()[-500:])
                return 1
            for path in sorted((place / "whole").iterdir()):
                if (out / path.name).read_bytes() != path.read_bytes():
                    print(f"{path.name} differs")
                    return 1
            print(f"training {lives}: every byte is the same", flush=True)
            left = [str(path.relative_to(place)) for path in place.rglob("*") if path.name.endswith(".tmp")]
            if left and process.returncode == 0:  # one that was killed after the last byte leaves it to the next
                print(f"left over: {', '.join(left)}")
                return 1
        print(f"{sum(deaths.values())} deaths ({dict(deaths)}) in {lives} trainings, and every byte is the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
