"""Compare the pruners: every method, strength, data set and seed, a row each.

    python benchmarks/rivals.py --data-root data --workers 2

Each row is one ``python -m lightning_snn.train --pruning ...``, in a process of its own with one thread. A finished row
is written to ``OUT/rows`` at once, and not done again: stop the campaign whenever you like, and give the command again.
``--list`` shows what is left; ``--report`` writes tables and the picture of the rows that are there.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _rivals_report import write_report
from _rivals_rows import DATA
from _rivals_rows import Row
from _rivals_rows import rows

from lightning_snn.errors import nearest

KEPT = ("pruner", "options", "network", "time_steps", "samples", "epochs", "baseline", "result", "budget", "seconds")
"""What is kept of a row's ``result.json``, beside its notes."""


def main() -> int:
    """Do what is left; return 1 if a row failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/rivals"), help="folder of the rows' runs")
    parser.add_argument("--out", type=Path, default=Path("results/rivals"), help="folder of the record")
    parser.add_argument("--data-root", default="data", help="folder that holds CIFAR-10")
    parser.add_argument("--workers", type=int, default=1, help="rows at a time")
    parser.add_argument("--data", choices=sorted(DATA), help="only rows on these data")
    parser.add_argument("--methods", default="", help="only these methods, by commas; a comma of their own is left out")
    parser.add_argument("--list", action="store_true", help="show what is left, and do nothing")
    parser.add_argument("--report", action="store_true", help="write tables and picture, and do nothing else")
    chosen = parser.parse_args()
    methods = [each.strip() for each in chosen.methods.split(",") if each.strip()]
    known = {row.method.replace(",", "") for row in rows()}
    if unknown := [each for each in methods if each not in known]:
        parser.error(f"no method is called {unknown[0]!r}. {nearest(unknown[0], known)}")
    left = [
        row
        for row in rows()
        if not record_of(chosen.out, row).exists()
        and chosen.data in (None, row.data)
        and (not methods or row.method.replace(",", "") in methods)
    ]
    if chosen.list:
        print("\n".join(row.name for row in left) or "All rows are there.")
        return 0
    failed = 0
    if not chosen.report:
        print(f"{len(left)} rows are left.", flush=True)
        with ThreadPoolExecutor(chosen.workers) as pool:
            failed = sum(pool.map(lambda row: not carry_out(row, chosen.runs, chosen.out, chosen.data_root), left))
    write_report(chosen.out)
    return 1 if failed else 0


def record_of(out: Path, row: Row) -> Path:
    """Return the file of a finished row."""
    return out / "rows" / f"{row.name}.json"


def carry_out(row: Row, runs: Path, out: Path, data_root: str) -> bool:
    """Train, prune and measure one row, and record it; return whether that worked."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "lightning_snn.train", *row.settings]
    command += [f"data.root={data_root}", f"runs={runs}", f"name={row.name}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):  # 3: above its target, which the row shows
        print(f"{row.name}: FAILED, {(done.stderr or done.stdout).strip()[-300:]}", flush=True)
        return False
    result = json.loads((runs / row.name / "result.json").read_text())
    record = {"data": row.data, "method": row.method, "strength": row.strength, "seed": row.seed}
    record |= {key: result[key] for key in KEPT} | {"notes": result["notes"], "command": " ".join(row.settings)}
    file = record_of(out, row)
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_suffix(".part")
    scratch.write_text(json.dumps(record, indent=1) + "\n")
    scratch.replace(file)
    after, before = result["result"], result["baseline"]
    print(
        f"{row.name}: {after['test_accuracy']:.2%} (dense {before['test_accuracy']:.2%}) at "
        f"{after['synops_share']:.1%} SynOps, {time.perf_counter() - started:.0f} s",
        flush=True,
    )
    return True


if __name__ == "__main__":
    raise SystemExit(main())
