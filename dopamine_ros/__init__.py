"""The seam between ROS 2 and the core: names, QoS, parameters, message conversion, diagnostics."""
