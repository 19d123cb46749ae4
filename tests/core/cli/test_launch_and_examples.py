"""Launch files name what exists; examples that need no graph run."""

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def constants(name):
    tree = ast.parse((ROOT / "launch" / name).read_text())
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def strings(name):
    tree = ast.parse((ROOT / "launch" / name).read_text())
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_the_stream_starts_executables_that_are_installed():
    setup = (ROOT / "setup.py").read_text()
    nodes = constants("stream.launch.py")["NODES"]
    assert [name for name in nodes if f'"{name} = ' not in setup] == []


def test_every_parameter_file_exists_and_the_command_node_gets_its_limits():
    nodes = constants("stream.launch.py")["NODES"]
    files = {file for group in nodes.values() for file in group} - {"task_file"}
    assert [file for file in sorted(files) if not (ROOT / "config" / file).is_file()] == []
    assert "limits.yaml" in nodes["command_node"]


def test_remapped_topics_are_ours():
    from dopamine_ros import names

    known = {value for key, value in vars(names).items() if key.isupper()}
    topics = {topic for topic, _ in constants("stream.launch.py")["TOPICS"].values()}
    assert topics <= known


@pytest.mark.parametrize("name", ["cell.launch.py", "stream.launch.py"])
def test_files_that_a_launch_file_names_exist(name):
    named = {text for text in strings(name) if text.startswith(("config/", "launch/"))}
    assert [text for text in sorted(named) if not (ROOT / text).exists()] == []


def test_fusion_and_shaping_by_hand_equal_the_library(capsys):
    runpy.run_path(str(ROOT / "examples" / "02_fusion_and_shaping.py"), run_name="__main__")
    assert (
        "fused, Eq. 8                 by hand +0.5600   library +0.5600" in capsys.readouterr().out
    )


def test_the_numbers_of_the_reward_page_are_those_of_the_example():
    page = (ROOT / "docs" / "reward.md").read_text()
    example = runpy.run_path(str(ROOT / "examples" / "02_fusion_and_shaping.py"))
    values = example["by_library"]()
    for name, form in (
        ("fused, Eq. 8", "{:.4f}"),
        ("consistency weight, Eq. 10", "{:.4f}"),
        ("fused, Eq. 11", "{:.4f}"),
        ("reward on the way, Eq. 13", "{:+.4f}"),
        ("reward at success, exact", "{:+.4f}"),
        ("reward at success, paper", "{:+.4f}"),
    ):
        assert form.format(values[name]) in page


def test_every_name_is_documented():
    from dopamine_ros import names

    page = (ROOT / "docs" / "topics.md").read_text()
    spelled = [v for k, v in vars(names).items() if k.isupper() and isinstance(v, str)]
    assert [name for name in spelled if name not in page] == []


def test_every_benchmark_that_the_readme_names_exists():
    page = (ROOT / "README.md").read_text()
    named = set(re.findall(r"make bench ARGS=(\w+)", page))
    assert named
    assert [
        name for name in sorted(named) if not (ROOT / "benchmarks" / f"{name}.py").is_file()
    ] == []


def test_links_of_the_pages_lead_somewhere():
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        assert [link for link in links if not (page.parent / link).exists()] == [], page.name
