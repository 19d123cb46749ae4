"""A stage-aware reward model, trained per task from demonstrations: stages, paths, network, training, folder."""
