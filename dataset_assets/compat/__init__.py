"""What exists only to be called like another tool.

It translates arguments and results; the work is done elsewhere.
"""
