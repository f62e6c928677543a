"""Run one function over many tasks. A file is a distributor: `serial`, `multiprocessing` (pyspark comes later).

Nothing here knows what a task is. Scheduling and crashes of workers live here; retries of failed tasks belong to the caller.
"""
