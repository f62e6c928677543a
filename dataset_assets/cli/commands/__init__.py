"""The commands: a file is a command. Its first line is the help text.

Nothing heavy is imported before a command is chosen.
"""
