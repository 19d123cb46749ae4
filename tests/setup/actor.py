"""A process without ROS that behaves as its first argument says; graph tests start it as a node."""

import os
import signal
import subprocess
import sys
import time


def main() -> None:
    """Play one part."""
    part, *rest = sys.argv[1:]
    if part == "stubborn":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    if part == "family":  # a child of its own that ignores everything but SIGKILL
        subprocess.Popen([sys.executable, "-m", "tests.setup.actor", "stubborn", *rest])
    print(f"nice {os.nice(0)} domain {os.environ['ROS_DOMAIN_ID']}", flush=True)
    if part == "dies":
        raise SystemExit("the motor is on fire")
    if part != "mute":
        print("ready", flush=True)
    while True:
        time.sleep(0.05)


if __name__ == "__main__":
    main()
