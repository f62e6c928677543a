"""What exists only to be called like another tool. No logic of its own: arguments and results are translated, the work is done elsewhere."""
