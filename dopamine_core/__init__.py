"""Everything without ROS: frames, reward, episodes, learning, control and evaluation."""
