"""Called like torchdatasetutil: `Create...Loaders` with its arguments and its batches, on our loaders."""
