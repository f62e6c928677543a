"""The stage `raw_urls`: URL lists, planned into shards."""

from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.stages.raw_urls.asset import build
from dataset_assets.orchestration.stages.raw_urls.section import RAW_URLS, Urls

STAGE = Stage(name=RAW_URLS, sources={"urls": Urls}, build=build)
