"""Message objects to core values and back; the only place that touches both."""
