"""The ament_python package robo_dopamine: nodes, launch files, configuration and robot description."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "robo_dopamine"
SHARED = ("config", "launch", "urdf")
PACKAGES = find_packages(include=["dopamine_*"])
# What is not Python but lies beside it: model weights, task descriptions, page templates.
DATA_FILES = [f"**/*.{kind}" for kind in ("html", "jpg", "json", "onnx", "xml", "yaml")]

# What only some reward models, the server or the trainers need (requirements/ pins what set-up installs).
EXTRAS = {
    "grm": ["accelerate", "peft", "pillow", "psutil", "safetensors", "tokenizers", "torch", "transformers>=5.23"],
    "nano": ["onnxruntime"],
    "quantised": ["bitsandbytes"],
    "remote": ["httpx"],
    "serve": ["python-multipart", "starlette", "uvicorn"],
    "torch": ["torch"],
}


def shared_files(folder: str) -> list[tuple[str, list[str]]]:
    """List a folder's files as setuptools wants them: install folder, files."""
    groups: dict[str, list[str]] = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            groups.setdefault(f"share/{NAME}/{path.parent.as_posix()}", []).append(path.as_posix())
    return list(groups.items())


setup(
    name=NAME,
    version="0.1.0",
    description="Learns on the real arm from one demonstration.",
    license="Apache-2.0",
    python_requires=">=3.11,<3.13",
    packages=PACKAGES,
    extras_require=EXTRAS,
    package_data={name: DATA_FILES for name in PACKAGES if "." not in name},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *(group for folder in SHARED for group in shared_files(folder)),
    ],
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "dopamine = dopamine_cli.main:app",
            "agent_node = dopamine_rl_node.agent_node:main",
            "cell_node = dopamine_sim.cell_node:main",
            "command_node = dopamine_rl_node.command_node:main",
            "demo_node = dopamine_demo_node.demo_node:main",
            "learner_node = dopamine_rl_node.learner_node:main",
            "operator_node = dopamine_sim.operator_node:main",
            "relabel_node = dopamine_reward_node.relabel_node:main",
            "reward_node = dopamine_reward_node.reward_node:main",
        ]
    },
)
