"""The .in files in, requirements/lock.txt out: every package of the closure, for Python 3.11 and 3.12.

``make lock`` runs it; set-up installs the result without resolving anything. torch itself is not in the lock
(set-up chooses CPU or CUDA); its plain dependencies are.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "requirements"
INPUTS = ("runtime.in", "ros.in", "dev.in")
HEADER = "# Written by `make lock` from runtime.in, ros.in and dev.in; torch is chosen by set-up (torch.txt).\n"
# Stands for torch while resolving, so that no CUDA package is looked at: its metadata of the CPU build.
_TORCH_NEEDS = ("filelock", "fsspec", "jinja2", "networkx", "setuptools", "sympy", "typing-extensions")


def resolve(python: str, constraints: Path | None) -> dict[str, str]:
    """Ask pip of one interpreter for the whole closure.

    :param constraints: versions to keep; None takes the newest that fit.
    :returns: version by canonical name.
    """
    with tempfile.TemporaryDirectory() as folder:
        env = Path(folder) / "env"
        subprocess.run([python, "-m", "venv", str(env)], check=True)
        version = (FOLDER / "torch.txt").read_text("ascii").strip().partition("==")[2]
        _pretend_torch(next((env / "lib").glob("python3*/site-packages")), version)
        report = Path(folder) / "report.json"
        command = [str(env / "bin" / "pip"), "install", "--dry-run", "--quiet", "--report", str(report)]
        command += [*(f"-r{FOLDER / name}" for name in INPUTS), f"torch=={version}"]
        if constraints is not None:
            command += ["-c", str(constraints)]
        subprocess.run(command, check=True)
        return parse_report(json.loads(report.read_text("utf-8")))


def parse_report(report: dict[str, list[dict[str, dict[str, str]]]]) -> dict[str, str]:
    """Return version by canonical name from pip's installation report, without torch."""
    found = {canonical(item["metadata"]["name"]): item["metadata"]["version"] for item in report["install"]}
    return {name: version for name, version in found.items() if name != "torch"}


def _pretend_torch(site_packages: Path, version: str) -> None:
    """Lay out the metadata of an installed torch, so that pip sees its needs and looks at no wheel of it."""
    folder = site_packages / f"torch-{version}.dist-info"
    folder.mkdir()
    needs = "".join(f"Requires-Dist: {need}\n" for need in _TORCH_NEEDS)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n{needs}", "ascii")
    (folder / "INSTALLER").write_text("pip\n", "ascii")
    (folder / "RECORD").write_text("", "ascii")


def canonical(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def merge(closures: dict[str, dict[str, str]]) -> str:
    """Write one lock for several interpreters; a line that is not the same for all carries a marker.

    :param closures: closure by Python version such as ``3.11``.
    """
    lines = []
    for name in sorted({name for closure in closures.values() for name in closure}):
        versions = {python: closure.get(name) for python, closure in closures.items()}
        if len(set(versions.values())) == 1:
            lines.append(f"{name}=={next(iter(versions.values()))}")
            continue
        for python, version in versions.items():
            if version is not None:
                lines.append(f'{name}=={version} ; python_version == "{python}"')
    return HEADER + "\n".join(lines) + "\n"


def main() -> None:
    """Resolve under each interpreter and write the lock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="+", help="one interpreter per supported version")
    parser.add_argument("--upgrade", action="store_true", help="take new versions of what is not pinned in *.in")
    arguments = parser.parse_args()
    old = FOLDER / "lock.txt"
    keep = old if old.is_file() and not arguments.upgrade else None
    closures = {}
    for python in arguments.pythons:
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        version = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
        closures[version] = resolve(python, keep)
        print(f"Python {version}: {len(closures[version])} packages")
    old.write_text(merge(closures), encoding="ascii")


if __name__ == "__main__":
    main()
