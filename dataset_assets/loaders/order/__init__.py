"""The order of samples: a function of data, seed and epoch that any process can compute again."""
