"""Imported for its effect: loads what every worker needs into the process they are forked from.

Never imported elsewhere.
"""

import sys

import pyarrow as pa

import dataset_assets.pipelines.download.worker  # noqa: F401


class _NoPandas:
    """Hides pandas from pyarrow.

    The first conversion of pyarrow imports pandas to recognize its objects. None get here, and it
    would cost each worker 0.2 s and 30 MB.
    """

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ImportError(name)


if "pandas" not in sys.modules:
    sys.meta_path.insert(0, _NoPandas)
    pa.array([])
    sys.meta_path.remove(_NoPandas)
