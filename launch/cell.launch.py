"""The whole stream in the simulated cell: deployment arguments in, the seven processes of the graph out."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node, PushRosNamespace

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Cell and scripted operator, then the same nodes as on a robot."""
    share = Path(get_package_share_directory("robo_dopamine"))
    arguments = [
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of this cell."),
        DeclareLaunchArgument("task", default_value="insert_peg", description="Task of the cell."),
        DeclareLaunchArgument("operator", default_value="true", description="Scripted operator."),
        DeclareLaunchArgument(
            "directory", default_value="runs/cell", description="Bags, models, checkpoints."
        ),
    ]
    cell = Node(
        package="robo_dopamine",
        executable="cell_node",
        output="screen",
        parameters=[str(share / "config/cell_node.yaml"), {"task": LaunchConfiguration("task")}],
    )
    operator = Node(
        package="robo_dopamine",
        executable="operator_node",
        output="screen",
        parameters=[str(share / "config/operator_node.yaml")],
        condition=IfCondition(LaunchConfiguration("operator")),
    )
    stream = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch/stream.launch.py")),
        launch_arguments={
            "directory": LaunchConfiguration("directory"),
            "task_file": [str(share / "config/tasks") + "/", LaunchConfiguration("task"), ".yaml"],
        }.items(),
    )
    return LaunchDescription(
        [*arguments, PushRosNamespace(LaunchConfiguration("namespace")), cell, operator, stream]
    )
