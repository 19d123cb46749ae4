"""Start and end of a node's process, the same for every node."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import rclpy
from rclpy.exceptions import InvalidParameterException, InvalidParameterTypeException
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from dopamine_core.errors import DopamineError

REFUSED = 2  # exit code: a named error before the node was ready


def run_node(make: Callable[[], Node], args: Sequence[str] | None = None) -> int:
    """Make a node and spin it until Ctrl-C or shutdown.

    :param make: the node's class.
    :param args: command line; None takes the process's own.
    :return: exit code; ``REFUSED`` when the node's settings are wrong, after saying why.
    """
    rclpy.init(args=list(args) if args is not None else None)
    node: Node | None = None
    try:
        node = make()
        gc.freeze()  # what was made at the start stays: collecting through it would stall callbacks
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (DopamineError, InvalidParameterException, InvalidParameterTypeException) as error:
        rclpy.logging.get_logger(make.__name__).fatal(f"{type(error).__name__}: {error}")
        return REFUSED
    except Exception as error:
        if rclpy.ok():
            raise
        # Ctrl-C ends the context at once, also under a callback that is publishing.
        rclpy.logging.get_logger(make.__name__).info(f"ended while at work: {error}")
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
