"""Staging sources: the name of a file or folder is the name of a source.

Found by `dataset_assets.registry`; nothing else lives here.
"""
