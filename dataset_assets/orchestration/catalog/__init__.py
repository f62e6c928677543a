"""The datasets: a folder is a dataset, its `defs.yaml` says where it comes from and what is made of it. A plain `.py` file is a one-off asset."""
