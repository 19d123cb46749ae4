#!/usr/bin/env bash
# Find Python 3.11 or 3.12 and hand over to scripts/set_up.py; `make setup` starts it.
# PYTHON=<interpreter> chooses one, TORCH=cpu|cuda|auto the kind of torch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fits() { "$1" -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.12 python3.11}; do
        if fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

if ! python="$(find_python)" && [ -z "${PYTHON:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: no Python 3.11 or 3.12 found, installing the system's" >&2
    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y python3 python3-venv python3-dev
    python="$(find_python)" || true
fi
if [ -z "${python:-}" ]; then
    {
        echo "setup: expected Python 3.11 or 3.12, got ${PYTHON:-$(python3 --version 2>&1 || echo none)}."
        echo "Install one (Debian 12, Ubuntu 24.04: sudo apt-get install python3 python3-venv python3-dev)"
        echo "and name it if it is not found: make setup PYTHON=/path/to/python3.12"
    } >&2
    exit 1
fi
exec "$python" -m scripts.set_up "$@"
