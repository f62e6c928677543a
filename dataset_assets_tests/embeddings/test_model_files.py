"""Weights are found, at one commit, and those that cannot be trusted are refused."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
import torch

from dataset_assets.embeddings.encoder import open_encoder
from dataset_assets.embeddings.model_files import ModelFiles, find_model, weights_in
from dataset_assets.errors import ConfigurationError, UnusableWeights, WeightsMissing
from dataset_assets_tests.embeddings import tiny_models

COMMIT = "4f5c1d0e9b7a63528190abcdef0123456789abcd"


def open_clip_model(folder, **options):
    return open_encoder("clip", {"model": str(folder), "device": "cpu", **options})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    tiny_models.clip(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "model"))


def as_torch_file(folder):
    """Replace the weights of a folder by the file that torch saves."""
    from safetensors.torch import load_file

    safe = folder / "model.safetensors"
    torch.save(load_file(safe), folder / "pytorch_model.bin")
    safe.unlink()


def test_a_folder_is_described_by_its_files_and_not_by_its_place(saved, folder):
    first, second = open_clip_model(saved).identity(), open_clip_model(folder).identity()
    assert first == second
    assert "model.safetensors" in first["model"]["files"]
    assert first["model"]["repository"] == ""
    assert first["computed_in"] == "float32"


def test_other_weights_preprocessing_and_options_are_another_identity(saved, folder):
    first = open_clip_model(saved).identity()
    assert open_clip_model(saved, normalize=False).identity() != first
    assert open_clip_model(saved, dtype="F16").identity() != first
    assert open_clip_model(saved, reads="text").identity() != first
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "resample": 2}))
    changed = open_clip_model(folder).identity()
    assert changed["preprocessing"]["interpolation"] == "bilinear"
    assert changed["preprocessing"] != first["preprocessing"]
    weights = folder / "model.safetensors"
    body = bytearray(weights.read_bytes())
    body[-1] ^= 1
    weights.write_bytes(body)
    again = open_clip_model(folder).identity()["model"]["files"]
    assert again["model.safetensors"] != changed["model"]["files"]["model.safetensors"]


def test_files_of_torch_are_read_where_there_are_no_safetensors(saved, folder):
    as_torch_file(folder)
    assert [path.name for path in weights_in(folder)] == ["pytorch_model.bin"]
    expected, found = open_clip_model(saved), open_clip_model(folder)
    for name, values in expected._model.state_dict().items():
        assert torch.equal(values, found._model.state_dict()[name])


class RunsCode:
    """An object whose unpickling creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_a_file_of_torch_that_would_run_code_is_refused(folder, tmp_path):
    as_torch_file(folder)
    torch.save({"weights": RunsCode(tmp_path / "created")}, folder / "pytorch_model.bin")
    with pytest.raises(UnusableWeights, match=r"without running code.*posix\.mkdir.*safetensors"):
        open_clip_model(folder)
    assert not (tmp_path / "created").exists()


def test_damaged_files_of_torch_are_refused(folder):
    as_torch_file(folder)
    file = folder / "pytorch_model.bin"
    body = file.read_bytes()
    for damaged in (b"no weights", body[:-200]):
        file.write_bytes(damaged)
        with pytest.raises(UnusableWeights, match="pytorch_model.bin: expected weights"):
            open_clip_model(folder)


def test_a_file_of_torch_beside_safetensors_is_never_opened(folder, tmp_path):
    torch.save({"weights": RunsCode(tmp_path / "created")}, folder / "pytorch_model.bin")
    assert "pytorch_model.bin" not in open_clip_model(folder).identity()["model"]["files"]
    assert not (tmp_path / "created").exists()


def test_truncated_weights_are_refused(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UnusableWeights, match="download the model again"):
        open_clip_model(folder)
    as_text = folder / "config.json"
    as_text.write_text("{")
    with pytest.raises(UnusableWeights):
        open_clip_model(folder)


def test_weights_that_lack_tensors_are_refused_and_not_filled_with_random_ones(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UnusableWeights, match="1 of its tensors, such as 'visual_projection"):
        open_clip_model(folder)


def test_sentence_models_that_lack_tensors_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    tiny_models.sentences(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UnusableWeights, match="1 of its tensors, such as 'encoder.layer.1"):
        open_encoder("text", {"model": str(tmp_path), "device": "cpu"})


@pytest.mark.parametrize("name", ["siglip", "dinov2", "text_encoder", "vae"])
def test_a_model_of_another_kind_is_refused(saved, name, tmp_path):
    folder = saved
    if name == "text_encoder":
        folder = tmp_path
        tiny_models.bert(folder)
    with pytest.raises(UnusableWeights):
        open_encoder(name, {"model": str(folder), "device": "cpu"})


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsMissing, match="expected files .*safetensors"):
        open_clip_model(folder)


@pytest.mark.parametrize("model", ["/no/such/folder", "./none", "~/none", "a/b/c"])
def test_a_path_without_a_folder_is_refused(model):
    with pytest.raises(WeightsMissing, match="expected a folder with a model, got"):
        find_model(model, "main")


def test_a_subfolder_that_is_not_there_is_refused(saved):
    with pytest.raises(WeightsMissing, match="expected a folder 'vae', got none"):
        open_encoder("vae", {"model": str(saved), "subfolder": "vae", "device": "cpu"})


OPEN = """
import sys
from dataset_assets.embeddings.encoder import open_encoder
from dataset_assets.errors import WeightsMissing
try:
    encoder = open_encoder("clip", {"model": sys.argv[1], "revision": sys.argv[2]})
    print(encoder.identity()["model"]["repository"], encoder.identity()["model"]["commit"])
except WeightsMissing as error:
    print(error)
"""


def offline(cache, model, revision="main"):
    """Return what opening a model from the Hub says without a network."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(cache)}
    shown = subprocess.run(
        [sys.executable, "-c", OPEN, model, revision],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.strip()


def test_without_a_network_weights_that_are_not_there_are_one_error_that_says_what_to_do(tmp_path):
    shown = offline(tmp_path, "openai/clip-vit-large-patch14", "v1")
    assert "got 'openai/clip-vit-large-patch14' at revision 'v1'" in shown
    assert "hf download openai/clip-vit-large-patch14 --revision v1 --local-dir FOLDER" in shown
    assert "Traceback" not in shown


def test_a_downloaded_repository_is_found_without_a_network_and_named_by_its_commit(
    saved, tmp_path
):
    place = tmp_path / "hub" / "models--owner--tiny"
    shutil.copytree(saved, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)
    assert offline(tmp_path, "owner/tiny") == f"owner/tiny {COMMIT}"


class Repository(BaseHTTPRequestHandler):
    """The Hub's API for one model, as far as its client asks for it."""

    files: ClassVar[dict[str, bytes]] = {}

    def do_HEAD(self):
        self._answer(has_body=False)

    def do_GET(self):
        self._answer(has_body=True)

    def _answer(self, *, has_body):
        path = urlsplit(self.path).path
        name = path.rpartition(f"/owner/tiny/resolve/{COMMIT}/")[2]
        headers = {"X-Repo-Commit": COMMIT}
        status, body = 404, b"{}"
        if path.startswith("/api/models/owner/tiny/revision/"):
            siblings = [{"rfilename": each} for each in self.files]
            listed = {"id": "owner/tiny", "sha": COMMIT, "siblings": siblings}
            status, body = 200, json.dumps(listed).encode()
        elif path.startswith("/api/models/owner/tiny/tree/"):
            listed = [
                {"type": "file", "path": each, "size": len(content), "oid": "0" * 40}
                for each, content in self.files.items()
            ]
            status, body = 200, json.dumps(listed).encode()
        elif name in self.files:
            status, body = 200, self.files[name]
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()}"'
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(header, value)
        self.end_headers()
        if has_body:
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.mark.parametrize("is_safe", [True, False])
def test_what_a_model_needs_is_downloaded_and_nothing_else(saved, folder, tmp_path, is_safe):
    if not is_safe:
        as_torch_file(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    weights = "model.safetensors" if is_safe else "pytorch_model.bin"
    others = ["model.fp16.safetensors", "onnx/model.json", "flax_model.msgpack", "a.py"]
    if is_safe:
        others.append("pytorch_model.bin")
    Repository.files = files | dict.fromkeys(others, b"others")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Repository)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        environment = {
            **os.environ,
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HOME": str(tmp_path / "home"),
        }
        shown = subprocess.run(
            [sys.executable, "-c", OPEN, "owner/tiny", "v2"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        server.shutdown()
        server.server_close()
    assert shown.stdout.strip() == f"owner/tiny {COMMIT}"
    snapshot = next((tmp_path / "home").rglob(f"snapshots/{COMMIT}"))
    got = {path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()}
    assert got == set(files)
    assert weights in got


def test_a_bad_id_is_refused():
    with pytest.raises(WeightsMissing, match="got 'a b'"):
        find_model("a b", "main")
    with pytest.raises(ConfigurationError, match="model: expected text"):
        open_encoder("clip", {"model": ""})


def test_digests_follow_the_file(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    first = ModelFiles(tmp_path).identity()
    (tmp_path / "config.json").write_text('{"a": 1}')
    assert ModelFiles(tmp_path).identity() != first
