"""Node: camera pairs in; progress, potentials and reward terms out."""
