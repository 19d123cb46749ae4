"""A reward model comes in, an HTTP server that speaks Robometer's wire format goes out.

Requests pass ``app`` (access, limits, decoding), wait in ``worker`` and are answered by ``evaluation``; ``server``
opens the socket and closes it again.
"""
