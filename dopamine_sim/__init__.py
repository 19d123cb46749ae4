"""The embedded cell: a MuJoCo arm, cameras and tasks that speak the topics of cameras and ros2_control."""
