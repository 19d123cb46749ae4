"""Every measured claim in turn: ``make bench``, or ``python -m benchmarks NAME ...`` for some of them.

A benchmark is a file of this folder whose docstring says how to start it (``python -m benchmarks.NAME``). Each runs
in a process of its own; the long one, first_learning, comes last.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LAST = "first_learning"


def benchmarks() -> dict[str, str]:
    """Return the first line of every benchmark's docstring by name, in the order of running."""
    found = {}
    for path in HERE.glob("*.py"):
        words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if f"python -m benchmarks.{path.stem}" in words:
            found[path.stem] = words.splitlines()[0]
    return {name: found[name] for name in sorted(found, key=lambda name: (name == LAST, name))}


def run(name: str) -> bool:
    """Run one benchmark with its defaults.

    :returns: whether it reached what it must.
    """
    print(f"== {name}: {benchmarks()[name]}", flush=True)
    start = time.monotonic()
    code = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent).returncode
    print(f"== {name}: exit code {code} after {time.monotonic() - start:.0f} s", flush=True)
    return code == 0


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    known = benchmarks()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measured claims of the README.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)}; none runs all")
    parser.add_argument("--list", action="store_true", help="say what there is and stop")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in known]:
        parser.error(f"expected benchmarks of {', '.join(known)}, got {', '.join(unknown)}")
    if arguments.list:
        for name, words in known.items():
            print(f"{name}: {words}")
        return
    results = {name: run(name) for name in arguments.names or known}
    for name, ok in results.items():
        print(f"{'ok    ' if ok else 'FAILED'} {name}")
    raise SystemExit(0 if all(results.values()) else 1)


if __name__ == "__main__":
    main()
