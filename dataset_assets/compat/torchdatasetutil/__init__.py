"""Called like torchdatasetutil: `Create...Loaders` with its arguments and batches, on our loaders.

Only arguments are translated here. https://github.com/bhlarson/torchdatasetutil
"""
