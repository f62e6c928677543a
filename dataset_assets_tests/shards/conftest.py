"""No fsync: nothing here cuts the power, and the crash tests write thousands of files."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
