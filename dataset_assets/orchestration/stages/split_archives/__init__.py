"""The stage `split_archives`: train, validation and test archives."""
