"""A fresh checkout in, a virtual environment that runs the whole suite out; a second call costs nothing.

Start it by ``make setup`` (scripts/setup.sh finds the interpreter). Each step is skipped while its inputs are
unchanged: system packages, environment, wheels, ROS prefix, dopamine_msgs, this package, torch.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from scripts import system_packages, torch_wheel
from scripts.steps import SetupError, Step, run_all

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
LOCK = ROOT / "requirements" / "lock.txt"
MESSAGES = ROOT / "ros2_ws" / "src" / "dopamine_msgs"
# A sourced ROS installation, or a caller that runs in our environment, must not leak into the build.
FOREIGN = (
    "AMENT_PREFIX_PATH",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "LD_LIBRARY_PATH",
    "MAKEFLAGS",
    "MAKELEVEL",
    "PYTHONHOME",
    "PYTHONPATH",
    "_ROS_WHEELS_BOOTSTRAP_COMPLETE",
)


def main() -> None:
    """Bring the checkout's environment up to date."""
    for name in FOREIGN:
        os.environ.pop(name, None)
    try:
        with (ROOT / ".setup.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two make calls at once: the second waits and finds all done
            run_all(steps(), VENV / "stamps")
    except (SetupError, ValueError) as error:
        raise SystemExit(f"setup: {error}") from None
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd))
        text = f"expected `{command}` to succeed, got exit code {error.returncode}; see above"
        raise SystemExit(f"setup: {text}") from None


def steps() -> list[Step]:
    """List the steps in order."""
    here = ROOT / "scripts"
    torch = torch_wheel.choose(os.environ.get("TORCH", "auto"))
    torch_pin = ROOT / "requirements" / "torch.txt"
    python = f"{sys.base_prefix} {sys.version}"
    return [
        Step("system", "compilers, headers, OpenGL", (here / "system_packages.py", python), system_packages.ensure),
        Step("environment", f"{VENV.name} with Python {sys.version.split()[0]}", (python, str(VENV)), make_environment),
        Step("wheels", "pinned packages, about 0.6 GB, some minutes", (LOCK,), install_wheels),
        Step("ros", "make the wheels a prefix to build on", (here / "ros_prefix.py",), relocate_wheels),
        Step("messages", "dopamine_msgs by colcon, about a minute", (MESSAGES,), build_messages),
        Step("package", "the command `dopamine`", (*package_inputs(), str(ROOT)), install_package),
        Step("torch", torch, (torch_pin, torch), lambda: install_torch(torch, torch_pin.read_text("ascii").strip())),
    ]


def package_inputs() -> tuple[Path, ...]:
    """Return the files that decide how this package is installed."""
    names = ("setup.py", "setup.cfg", "pyproject.toml", "package.xml", "scripts/set_up.py")
    return tuple(ROOT / name for name in names)


def make_environment() -> None:
    """Create the virtual environment, anew when another interpreter made the old one."""
    import venv

    settings = VENV / "pyvenv.cfg"
    ours = settings.is_file() and f"version = {sys.version.split()[0]}" in settings.read_text("utf-8")
    venv.EnvBuilder(clear=VENV.exists() and not ours, with_pip=True, symlinks=True).create(VENV)


def pip(*arguments: str) -> None:
    """Run the environment's pip."""
    command = [BIN / "python", "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    subprocess.run(command, check=True)


def install_wheels() -> None:
    """Install exactly what the lock names; nothing is resolved here."""
    pip("install", "--no-deps", "-r", str(LOCK))


def install_torch(kind: str, requirement: str) -> None:
    """Install torch of the chosen kind and look at what came."""
    reachable = kind == "cpu" and torch_wheel.cpu_index_reachable()
    arguments, sentence = torch_wheel.pip_arguments(kind, requirement, cpu_index_reachable=reachable)
    print(sentence, flush=True)
    pip(*arguments)
    code = "import torch; print('torch', torch.__version__, 'CUDA', torch.version.cuda or 'none')"
    subprocess.run([BIN / "python", "-c", code], check=True)


def relocate_wheels() -> None:
    """Replace the wheel builder's paths by ours."""
    subprocess.run([BIN / "python", "-m", "scripts.ros_prefix"], check=True, cwd=ROOT)


def build_messages() -> None:
    """Build dopamine_msgs into the environment, so that its interpreter finds it without sourcing anything."""
    environment = os.environ | {
        "AMENT_PREFIX_PATH": str(VENV),
        "CMAKE_PREFIX_PATH": str(VENV),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(VENV),
    }
    command = [BIN / "colcon", "--log-level", "error", "build", "--base-paths", "src"]
    command += ["--packages-select", MESSAGES.name, "--merge-install", "--install-base", str(VENV)]
    command += ["--event-handlers", "console_direct-", "--cmake-clean-cache", "--cmake-args"]
    command += ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={BIN / 'python'}"]
    subprocess.run(command, check=True, cwd=ROOT / "ros2_ws", env=environment)
    check = f"from {MESSAGES.name}.msg import Decision; Decision()"
    subprocess.run([BIN / "python", "-c", check], check=True)


def install_package() -> None:
    """Install this checkout in place, with the variables that every process of the environment needs."""
    pip("install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    hook = VENV / "lib" / version / "site-packages" / "dopamine_environment.pth"
    hook.write_text(start_hook(ROOT), encoding="utf-8")


def start_hook(root: Path) -> str:
    """Return the line that the interpreter runs at start: defaults, so that a plain rclpy script joins in."""
    pairs = (
        '("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp"), ("AMENT_PREFIX_PATH", sys.prefix), '
        '("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST"), '
        f'("FASTRTPS_DEFAULT_PROFILES_FILE", {str(root / "config" / "fastdds.xml")!r})'
    )
    return f"import os, sys; [os.environ.setdefault(*pair) for pair in ({pairs})]\n"


if __name__ == "__main__":
    main()
