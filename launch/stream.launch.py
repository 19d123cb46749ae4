"""The nodes that run on a robot PC: topics of cameras and controllers in, commands and learning out.

Cameras and ros2_control are started by their own launch files; name their topics with the arguments.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription

TOPICS = {  # argument: (our name, meaning)
    "front_image": ("front/image_raw", "Third-person camera."),
    "wrist_image": ("wrist/image_raw", "Wrist camera."),
    "joint_states": ("joint_states", "Joint states of the arm and the gripper."),
    "trajectory": ("joint_trajectory_controller/joint_trajectory", "The arm's controller."),
    "gripper": ("gripper_controller/commands", "The gripper's controller."),
    "joy": ("joy", "Game controller."),
}
NODES = {  # executable: parameter files, of which two are arguments; the learner lowers its own priority
    "command_node": ("command_node.yaml", "limits.yaml"),
    "reward_node": ("reward_node.yaml",),
    "demo_node": ("demo_node.yaml", "task_file"),
    "agent_node": ("agent_node.yaml",),
    "learner_node": ("learner_node.yaml", "task_file"),
    "relabel_node": ("relabel_node.yaml",),
}
ARGUMENTS = {"limits.yaml": "limits", "task_file": "task_file"}
WRITERS = ("demo_node", "learner_node", "relabel_node")
OPTIONAL = {"relabel_node": "relabel"}  # executable: argument that starts it


def generate_launch_description() -> LaunchDescription:
    """One process per node."""
    share = Path(get_package_share_directory("robo_dopamine"))
    arguments = [
        DeclareLaunchArgument(name, default_value=topic, description=meaning)
        for name, (topic, meaning) in TOPICS.items()
    ]
    arguments += [
        DeclareLaunchArgument(
            "directory", default_value="runs/robot", description="Bags, models, checkpoints."
        ),
        DeclareLaunchArgument(
            "limits", default_value=str(share / "config/limits.yaml"), description="Robot limits."
        ),
        DeclareLaunchArgument(
            "task_file",
            default_value=str(share / "config/tasks/insert_peg.yaml"),
            description="Parameter file of the task: how its episodes begin, what the policy moves.",
        ),
        DeclareLaunchArgument(
            "relabel",
            default_value="false",
            description="Start the relabel node, for a learner with labels: relabelled.",
        ),
        DeclareLaunchArgument("use_sim_time", default_value="false", description="Follow /clock."),
    ]
    profile = SetEnvironmentVariable(
        "FASTRTPS_DEFAULT_PROFILES_FILE", str(share / "config/fastdds.xml")
    )
    return LaunchDescription([*arguments, profile, *[_node(share, name) for name in NODES]])


def _node(share: Path, executable: str) -> Node:
    files = NODES[executable]
    parameters: list[object] = [
        LaunchConfiguration(ARGUMENTS[name]) if name in ARGUMENTS else str(share / "config" / name)
        for name in files
    ]
    parameters.append({"use_sim_time": LaunchConfiguration("use_sim_time")})
    if executable in WRITERS:
        parameters.append({"directory": LaunchConfiguration("directory")})
    argument = OPTIONAL.get(executable)
    condition = {"condition": IfCondition(LaunchConfiguration(argument))} if argument else {}
    return Node(
        package="robo_dopamine",
        executable=executable,
        output="screen",
        parameters=parameters,
        remappings=[(topic, LaunchConfiguration(name)) for name, (topic, _) in TOPICS.items()],
        **condition,
    )
