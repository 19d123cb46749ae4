"""Learning hops: labelled pairs, batches, losses, adapters."""
