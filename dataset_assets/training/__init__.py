"""Samples for training: where they are, their captions, and the size that they get.

A file in `layouts/` is a layout of samples on disk, in a store or on the Hub. Pixels are numpy
arrays; torch is met in `loaders/torch` only. Nothing here computes an embedding.
"""
