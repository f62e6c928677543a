"""The stage `shards`: the samples of URL lists, downloaded into shards."""

from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.stages.raw_urls.section import RAW_URLS
from dataset_assets.orchestration.stages.shards.asset import build
from dataset_assets.orchestration.stages.shards.runs import partition_sets
from dataset_assets.orchestration.stages.shards.section import SHARDS, ShardsSection, problems

STAGE = Stage(
    name=SHARDS,
    key="shards",
    section=ShardsSection,
    is_optional=True,
    after=(RAW_URLS,),
    refusal="expected no `{key}` with `source.{kind}`: only URLs are downloaded",
    build=build,
    problems=problems,
    shard_sets=partition_sets,
)
