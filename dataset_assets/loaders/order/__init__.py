"""The order of samples: a function of (shards, seed, epoch) and of nothing else."""
