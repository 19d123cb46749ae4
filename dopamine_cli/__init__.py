"""The ``dopamine`` command: starts graphs of nodes, shows progress, writes reports."""
