"""One machine in, one finding per function out: does it have what the suite needs, and what to do if not."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dopamine_cli import shared_memory
from dopamine_cli.environment import default_profile, ros_environment
from dopamine_core.errors import DopamineError

GIB, MIB = 2**30, 2**20
DISK_GIB = 5.0  # a demo writes about 1 GB, a first set-up 4 GB
DELIVERED = 0.99
P99_MS = 20.0
_PROBE_S = 3.0
_IMPORT_S = 120.0
_RENDER = """
import mujoco, numpy, time
from dopamine_sim.renderer import Renderer
model = mujoco.MjModel.from_xml_string('<mujoco><visual><quality shadowsize="0" offsamples="0"/></visual><worldbody>'
    '<light pos="0 0 3"/><geom type="box" size=".1 .1 .1" rgba="1 0 0 1"/>'
    '<camera name="eye" pos="0 0 1"/></worldbody></mujoco>')
data = mujoco.MjData(model); mujoco.mj_forward(model, data)
renderer = Renderer(model); renderer.prepare(data, ["eye"]); image = renderer.draw("eye", 640, 480)
start = time.perf_counter()
for _ in range(5): renderer.prepare(data, ["eye"]); renderer.draw("eye", 640, 480)
assert image[240, 320, 0] > image[240, 320, 1] + 50, image[240, 320]
print(f"{renderer.name}, {(time.perf_counter() - start) / 5 * 1e3:.1f} ms per 640x480 frame")
"""


@dataclass(frozen=True)
class Finding:
    """What one check saw."""

    name: str
    ok: bool
    expected: str
    got: str
    remedy: str = ""  # empty when there is nothing to do
    warning: bool = False  # not as expected, but the suite runs


def check_python() -> Finding:
    """The interpreter is one that the wheels exist for."""
    ok = (3, 11) <= sys.version_info < (3, 13)
    got = f"{sys.version.split()[0]} at {sys.executable}"
    return Finding("python", ok, "3.11 or 3.12", got, "" if ok else "make clean setup PYTHON=/path/to/python3.12")


def check_wheels() -> Finding:
    """Installed versions are those of the lock; without a checkout there is no lock to compare with."""
    lock = Path(__file__).resolve().parent.parent / "requirements" / "lock.txt"
    if not lock.is_file():
        return Finding("wheels", True, "versions of requirements/lock.txt", "no lock here: installed by other means")
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(encoding="ascii"), re.MULTILINE))
    installed = {_canonical(item.metadata["Name"]): item.version for item in importlib.metadata.distributions()}
    wrong = [f"{name} {installed.get(name, 'missing')}" for name, pin in pins.items() if installed.get(name) != pin]
    expected = f"{len(pins)} packages as in requirements/lock.txt"
    if not wrong:
        return Finding("wheels", True, expected, "the same")
    return Finding("wheels", False, expected, f"{len(wrong)} others: {', '.join(wrong[:3])}", "make setup")


def check_messages() -> Finding:
    """The client library and dopamine_msgs load and fit each other."""
    load = "D.__class__.__import_type_support__()"
    code = f"import rclpy; from dopamine_msgs.msg import Decision as D; {load}; print('ok')"
    ok, words = _run(code)
    remedy = "" if ok else "make setup (robot PC: colcon build, then source install/setup.bash)"
    return Finding("dopamine_msgs", ok, "rclpy and dopamine_msgs to load", words, remedy)


def check_renderer() -> Finding:
    """MuJoCo draws a red box off screen."""
    ok, words = _run(_RENDER)
    remedy = "" if ok else "apt-get install libegl1 libegl-mesa0 libopengl0 libgl1-mesa-dri (or libosmesa6)"
    return Finding("renderer", ok, "an offscreen image on EGL or OSMesa", words, remedy)


def check_shared_memory() -> Finding:
    """/dev/shm holds the camera images of a whole graph; files of dead processes are named."""
    shipped, free = default_profile(), shared_memory.free_bytes()
    wanted = shared_memory.needed_bytes(shared_memory.segment_mib(shipped))
    left = shared_memory.abandoned()
    expected = f"{wanted // MIB} MiB free in /dev/shm, nothing left by dead processes"
    got = f"{free // MIB} MiB free, {len(left)} abandoned files"
    with tempfile.TemporaryDirectory() as folder:
        profile = shared_memory.choose_profile(shipped, Path(folder), free=free)
    if profile is None:
        return Finding("shared memory", False, expected, got, "enlarge /dev/shm (container: --shm-size=1g)")
    if not profile.shipped:
        got += f": segments of {profile.segment_mib} MiB will be used"
        return Finding("shared memory", True, expected, got, "enlarge /dev/shm (container: --shm-size=1g)", True)
    remedy = f"rm /dev/shm/{left[0]}* and its like" if left else ""
    return Finding("shared memory", True, expected, got, remedy, bool(left))


def check_transport() -> Finding:
    """Two processes exchange camera images for three seconds; a busy machine starves them, hence the load."""
    from dopamine_cli.transport_probe import measure

    expected = f"{DELIVERED:.0%} of 2 x 640x480 rgb8 at 30 Hz delivered, p99 below {P99_MS:g} ms"
    try:
        with tempfile.TemporaryDirectory() as folder:
            seen = measure(Path(folder), _PROBE_S)
    except DopamineError as error:
        return Finding("transport", False, expected, error.got, error.remedy)
    load = os.getloadavg()[0]
    got = f"{seen.received} of {seen.sent}, p50 {seen.p50_ms:.1f} ms, p99 {seen.p99_ms:.1f} ms at load {load:.1f}"
    ok, slow = seen.share >= DELIVERED, not seen.p99_ms <= P99_MS
    remedy = f"end other work ({os.cpu_count()} cores), look at `shared memory` above" if slow or not ok else ""
    return Finding("transport", ok, expected, got, remedy, slow)


def check_onnxruntime() -> Finding:
    """The reward model's engine loads."""
    ok, words = _run("import onnxruntime as o; print(o.__version__, ', '.join(o.get_available_providers()))")
    ok = ok and "CPUExecutionProvider" in words
    return Finding("onnxruntime", ok, "CPUExecutionProvider at least", words, "" if ok else "make setup")


def check_torch() -> Finding:
    """The learner's engine loads; a GPU that torch cannot use is named."""
    code = "import torch as t; print(t.__version__, t.cuda.get_device_name() if t.cuda.is_available() else 'CPU')"
    ok, words = _run(code)
    unused = ok and words.endswith("CPU") and shutil.which("nvidia-smi") is not None
    remedy = "make setup" if not ok else "make setup TORCH=cuda" if unused else ""
    return Finding("torch", ok, "CPU, or CUDA where there is a GPU", words, remedy, unused)


def check_disk(folder: Path) -> Finding:
    """There is room for recordings."""
    usage = shutil.disk_usage(folder)
    ok = usage.free >= DISK_GIB * GIB and os.access(folder, os.W_OK)
    got = f"{usage.free / GIB:.1f} GiB in {folder}" + ("" if os.access(folder, os.W_OK) else ", not writable")
    return Finding("disk", ok, f"{DISK_GIB:g} GiB free and writable", got, "" if ok else "free space, or use --run-dir")


def _run(code: str) -> tuple[bool, str]:
    """Run code in a process of its own, because a broken native library takes its process along.

    :returns: whether it ended well, and its last line.
    """
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_IMPORT_S, env=ros_environment())
    except subprocess.TimeoutExpired:
        return False, f"no answer within {_IMPORT_S:g} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode == 0, lines[-1] if lines else f"exit code {done.returncode}"


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
