import json

import pytest

from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.small_loaders import labels, make
from dataset_assets_tests.loaders.staged_partitions import SetSpec, write_set

RANK = """
import json, sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from dataset_assets_tests.loaders.small_loaders import make

folder, address, rank, cache = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
dist.init_process_group("gloo", init_method=f"file://{address}", rank=rank, world_size=2)
model = DistributedDataParallel(torch.nn.Linear(1, 1))
loader = make(folder, rank=rank, world_size=2, num_workers=1, cache_dir=cache)
seen = []
for epoch in range(2):
    for batch in loader:
        # all ranks synchronize here: it hangs if one of them has more batches
        model(batch[0].float()[:, None]).sum().backward()
        seen.append(batch[0].tolist())
total = torch.tensor([len(seen)])
dist.all_reduce(total)
if rank == 0:
    assert total.item() == 2 * len(seen), "ranks had different numbers of batches"
print(json.dumps(seen), flush=True)
dist.destroy_process_group()
"""


@pytest.mark.parametrize("samples", [(30, 33), (1,)])
def test_ranks_train_in_step_when_samples_do_not_divide(tmp_path, samples, warm_python):
    write_set(Store(str(tmp_path / "set")), SetSpec(counts=samples))
    folders = [tmp_path / "set", tmp_path / "meet"]
    ranks = [warm_python.start("-c", RANK, *folders, rank, tmp_path / "cache") for rank in (0, 1)]
    assert [rank.wait(100) for rank in ranks] == [0, 0], [rank.output() for rank in ranks]
    seen = [json.loads(rank.output().splitlines()[-1]) for rank in ranks]
    assert next(list(map(len, batches)) for batches in seen) == [len(batch) for batch in seen[1]]
    alone = make(str(tmp_path / "set"))
    whole = labels(alone) + labels(alone)
    joined = [one + two for one, two in zip(*seen, strict=True)]
    assert [batch[: len(expected)] for batch, expected in zip(joined, whole, strict=True)] == whole
