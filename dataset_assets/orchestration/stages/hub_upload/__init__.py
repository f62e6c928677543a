"""The stage `hub_upload`: the published dataset."""
