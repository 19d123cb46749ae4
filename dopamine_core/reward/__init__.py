"""From frame pairs to hops, readings, progress, potentials, reward terms and success."""
