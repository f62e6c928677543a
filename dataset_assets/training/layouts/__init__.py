"""Layouts of training sets; a file here is a layout, and its name the one that a user types.

Each is read for images and videos, in any place. The contract is `training.layout.Layout`.
"""
