"""Kill a training at random moments until it ends by itself, and compare what it wrote with an undisturbed one.

``python scripts/kill_training.py CORPUS --vocab 8000 --kills 20`` trains once in peace, then again with ``--resume``,
sends ``kill -9`` at random moments of its life, begins it again each time, and says in which phase each death came. It
exits with 1 where a byte differs. What is written stands in a temporary folder.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = [sys.executable, "-c", "from bbpe.cli import main; main()"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--vocab", default="8000")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save-every", default="0.2")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        train = [*COMMAND, "train", str(options.corpus), "--vocab", options.vocab, "--progress", "json", "-q"]
        begun = time.monotonic()
        subprocess.run([*train, "-o", str(place / "whole")], check=True, stderr=subprocess.DEVNULL)
        whole = time.monotonic() - begun
        print(f"undisturbed: {whole:.1f} s")
        deaths: collections.Counter[str] = collections.Counter()
        lives = 0
        while sum(deaths.values()) < options.kills:
            lives += 1
            kept, out = place / f"kept-{lives}", place / f"out-{lives}"
            resumed = [*train, "-o", str(out), "--resume", str(kept), "--save-every", options.save_every]
            while True:
                with (place / "progress").open("w+") as progress:
                    process = subprocess.Popen(resumed, stdout=subprocess.DEVNULL, stderr=progress)
                    try:
                        process.wait(rng.uniform(0.05, 1.1) * whole if sum(deaths.values()) < options.kills else None)
                        break
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()
                    progress.seek(0)
                    lines = [line for line in progress if line.startswith("{") and line.endswith("}\n")]
                phase = json.loads(lines[-1])["phase"] if lines else "starting"
                deaths[phase] += 1
                print(f"death {sum(deaths.values())}: {phase}")
                if out.exists():
                    break
            if not out.exists():
                print(f"it ended with status {process.returncode} and wrote nothing")
                return 1
            for path in sorted((place / "whole").iterdir()):
                if (out / path.name).read_bytes() != path.read_bytes():
                    print(f"{path.name} differs")
                    return 1
            print(f"training {lives}: every byte is the same")
        print(f"{sum(deaths.values())} deaths ({dict(deaths)}) in {lives} trainings, and every byte is the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
