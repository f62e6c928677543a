"""Encoders give what the libraries give for the same models, image by image and text by text."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from dataset_assets.embeddings.encoder import DTYPES, open_encoder
from dataset_assets.errors import ConfigurationError
from dataset_assets.records.staged import SampleError
from dataset_assets_tests.embeddings import tiny_models
from dataset_assets_tests.embeddings.crops import crops_of

IMAGES = [crops_of(photo, 1, extension="png")[0] for photo in ("rocket", "coffee", "chelsea")]
CAPTIONS = ["a rocket at night", "coffee", "one cat that looks at the camera , close up"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return where a model is saved; each is saved once."""
    saved = {}

    def folder(save):
        if save not in saved:
            saved[save] = tmp_path_factory.mktemp(save.__name__)
            save(saved[save])
        return str(saved[save])

    return folder


def vectors(name, folder, samples, **options):
    encoder = open_encoder(name, {"model": folder, "device": "cpu", **options})
    return encoder, encoder.encode([encoder.prepare(*sample) for sample in samples])


def pictures():
    return [Image.open(io.BytesIO(body)).convert("RGB") for body in IMAGES]


def tokens_of(folder, **options):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)(CAPTIONS, return_tensors="pt", **options)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_image_and_text_vectors_are_those_of_transformers(folders, name):
    import transformers
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    is_clip = name == "clip"
    folder = folders(tiny_models.clip if is_clip else tiny_models.siglip)
    samples = list(zip(IMAGES, CAPTIONS, strict=True))
    encoder, found = vectors(name, folder, samples, reads="image_and_text", normalize=False)
    model = getattr(transformers, "CLIPModel" if is_clip else "SiglipModel").from_pretrained(folder)
    processor = CLIPImageProcessorPil if is_clip else SiglipImageProcessorPil
    pixels = processor.from_pretrained(folder)(images=pictures(), return_tensors="pt")
    padding = {"padding": True} if is_clip else {"padding": "max_length", "max_length": 16}
    tokens = tokens_of(folder, **padding)
    if not is_clip:
        tokens = {"input_ids": tokens["input_ids"]}
    with torch.inference_mode():
        images = model.eval().get_image_features(**pixels).pooler_output
        texts = model.get_text_features(
            **{key: values for key, values in tokens.items() if key != "token_type_ids"}
        ).pooler_output
    np.testing.assert_allclose(found["embedding"], images, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found["text_embedding"], texts, rtol=1e-3, atol=1e-4)
    assert encoder.device == "cpu"
    # Samples differ, so that the comparison says something.
    assert np.abs(found["embedding"][0] - found["embedding"][1]).max() > 1e-2
    assert np.abs(found["text_embedding"][0] - found["text_embedding"][1]).max() > 1e-2


def test_what_is_not_read_is_not_needed(folders):
    folder = folders(tiny_models.clip)
    samples = [(None, caption) for caption in CAPTIONS]
    encoder, texts = vectors("clip", folder, samples, reads="text")
    assert list(texts) == ["embedding"]
    np.testing.assert_allclose(np.linalg.norm(texts["embedding"], axis=1), 1, rtol=1e-5)
    with pytest.raises(SampleError, match="expected a caption"):
        encoder.prepare(IMAGES[0], None)
    images, _ = vectors("clip", folder, [(IMAGES[0], None)])
    assert images.medium == "image"
    with pytest.raises(ConfigurationError, match="reads: expected one of"):
        open_encoder("clip", {"model": folder, "reads": "sound"})


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_stored_types_are_the_rounded_values(folders, dtype):
    folder = folders(tiny_models.clip)
    samples = [(body, None) for body in IMAGES]
    _, full = vectors("clip", folder, samples)
    encoder, found = vectors("clip", folder, samples, dtype=dtype)
    stored = found["embedding"]
    assert encoder.fields["embedding"].dtype == dtype
    assert stored.dtype == DTYPES[dtype]
    values = torch.from_numpy(stored.view(np.int16))
    values = values.view(torch.bfloat16 if dtype == "BF16" else torch.float16).float().numpy()
    np.testing.assert_allclose(values, full["embedding"], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("pooling", ["class", "mean"])
def test_dinov2_vectors_are_those_of_transformers(folders, pooling):
    from transformers import Dinov2Model
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

    folder = folders(tiny_models.dinov2)
    samples = [(body, None) for body in IMAGES]
    _, found = vectors("dinov2", folder, samples, pooling=pooling, normalize=False)
    pixels = BitImageProcessorPil.from_pretrained(folder)(images=pictures(), return_tensors="pt")
    with torch.inference_mode():
        output = Dinov2Model.from_pretrained(folder).eval()(**pixels)
    expected = output.pooler_output
    if pooling == "mean":
        expected = output.last_hidden_state[:, 1:].mean(dim=1)
    np.testing.assert_allclose(found["embedding"], expected, rtol=1e-3, atol=1e-4)


def test_text_vectors_are_those_of_sentence_transformers(folders):
    from sentence_transformers import SentenceTransformer

    folder = folders(tiny_models.sentences)
    samples = [(None, caption) for caption in CAPTIONS]
    encoder, found = vectors("text", folder, samples, prefix="query : ")
    model = SentenceTransformer(folder, device="cpu")
    prefixed = [f"query : {caption}" for caption in CAPTIONS]
    expected = model.encode(prefixed, normalize_embeddings=True)
    np.testing.assert_allclose(found["embedding"], expected, atol=1e-5)
    assert encoder.identity()["max_tokens"] == 12
    assert "1_Pooling/config.json" in encoder.identity()["model"]["files"]
    _, plain = vectors("text", folder, samples)
    assert np.abs(plain["embedding"] - found["embedding"]).max() > 1e-3


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_text_vectors_of_transformers_are_pooled(folders, pooling):
    from transformers import BertModel

    folder = folders(tiny_models.bert)
    samples = [(None, caption) for caption in CAPTIONS]
    _, found = vectors("text", folder, samples, pooling=pooling, normalize=False)
    model = BertModel.from_pretrained(folder).eval()
    for caption, vector in zip(CAPTIONS, found["embedding"], strict=True):
        from transformers import AutoTokenizer

        ids = AutoTokenizer.from_pretrained(folder)(caption, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            hidden = model(input_ids=ids).last_hidden_state[0]
        expected = {"mean": hidden.mean(dim=0), "first": hidden[0], "last": hidden[-1]}[pooling]
        np.testing.assert_allclose(vector, expected, rtol=1e-3, atol=1e-4)


def test_hidden_states_of_t5_have_the_length_of_their_caption(folders):
    from transformers import T5EncoderModel

    folder = folders(tiny_models.t5)
    samples = [(None, caption) for caption in [*CAPTIONS, ""]]
    encoder, found = vectors("text_encoder", folder, samples)
    assert encoder.fields["hidden"].is_ragged
    assert [len(each) for each in found["hidden"]] == [6, 3, 12, 2]
    model = T5EncoderModel.from_pretrained(folder).eval()
    ids = tokens_of(folder, padding=True)["input_ids"]
    with torch.inference_mode():
        alone = model(input_ids=ids[1:2, :3]).last_hidden_state[0]
    np.testing.assert_allclose(found["hidden"][1], alone, rtol=1e-3, atol=1e-4)
    short, cut = vectors("text_encoder", folder, samples[2:3], max_tokens=5)
    assert len(cut["hidden"][0]) == 5
    assert short.identity() != encoder.identity()


@pytest.mark.parametrize("attends", [False, True])
def test_padded_hidden_states_have_a_mask(folders, attends):
    from transformers import T5EncoderModel

    folder = folders(tiny_models.t5)
    samples = [(None, caption) for caption in CAPTIONS]
    options = {"padding": "max_length", "max_tokens": 14, "attends_to_padding": attends}
    encoder, found = vectors("text_encoder", folder, samples, **options)
    assert encoder.fields["hidden"].shape == (14, 32)
    assert found["mask"].sum(axis=1).tolist() == [6, 3, 12]
    tokens = tokens_of(folder, padding="max_length", max_length=14)
    mask = None if attends else tokens["attention_mask"]
    with torch.inference_mode():
        model = T5EncoderModel.from_pretrained(folder).eval()
        expected = model(input_ids=tokens["input_ids"], attention_mask=mask).last_hidden_state
    np.testing.assert_allclose(found["hidden"], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("layer", [-1, -2])
def test_the_text_tower_of_clip_gives_hidden_states_and_a_pooled_vector(folders, layer):
    from transformers import CLIPTextModel

    folder = folders(tiny_models.clip)
    samples = [(None, caption) for caption in CAPTIONS]
    encoder, found = vectors("text_encoder", folder, samples, layer=layer)
    assert encoder.identity()["max_tokens"] == 16
    assert found["pooled"].shape == (3, 32)
    tokens = tokens_of(folder, padding=True)
    with torch.inference_mode():
        output = CLIPTextModel.from_pretrained(folder).eval()(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            output_hidden_states=True,
        )
    hidden = output.last_hidden_state if layer == -1 else output.hidden_states[-2]
    np.testing.assert_allclose(found["hidden"][1], hidden[1, :3], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found["pooled"], output.pooler_output, rtol=1e-3, atol=1e-4)


def test_whole_t5_models_are_read_without_their_decoder(tmp_path):
    from transformers import T5Config, T5ForConditionalGeneration

    words = tiny_models.tokenizer(tmp_path)
    config = T5Config(
        vocab_size=words, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, pad_token_id=0
    )
    model = T5ForConditionalGeneration(config).eval()
    model.save_pretrained(tmp_path)
    _, found = vectors("text_encoder", str(tmp_path), [(None, CAPTIONS[0])])
    ids = tokens_of(tmp_path, padding=True)["input_ids"][:1, :6]
    with torch.inference_mode():
        expected = model.encoder(input_ids=ids).last_hidden_state[0]
    np.testing.assert_allclose(found["hidden"][0], expected, rtol=1e-3, atol=1e-4)


def test_a_pipeline_has_its_models_in_subfolders(tmp_path):
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    words = tiny_models.tokenizer(tmp_path / "tokenizer")
    sizes = tiny_models.text_tower(words)
    model = CLIPTextModelWithProjection(CLIPTextConfig(**sizes, projection_dim=20)).eval()
    model.save_pretrained(tmp_path / "text_encoder")
    places = {"subfolder": "text_encoder", "tokenizer_subfolder": "tokenizer"}
    samples = [(None, caption) for caption in CAPTIONS]
    encoder, found = vectors("text_encoder", str(tmp_path), samples, **places)
    tokens = tokens_of(tmp_path / "tokenizer", padding=True)
    with torch.inference_mode():
        expected = model(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).text_embeds
    assert encoder.fields["pooled"].shape == (20,)
    np.testing.assert_allclose(found["pooled"], expected, rtol=1e-3, atol=1e-4)
    files = encoder.identity()["model"]["files"]
    assert {"text_encoder/model.safetensors", "tokenizer/tokenizer.json"} <= files.keys()


def test_registers_of_dinov2_are_not_patches(tmp_path):
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    tiny_models.dinov2(tmp_path)
    sizes = tiny_models.tower(mlp_ratio=2, num_register_tokens=4)
    config = Dinov2WithRegistersConfig(image_size=56, patch_size=14, **sizes)
    model = Dinov2WithRegistersModel(config).eval()
    model.save_pretrained(tmp_path)
    options = {"pooling": "mean", "normalize": False}
    encoder, found = vectors("dinov2", str(tmp_path), [(IMAGES[0], None)], **options)
    pixels = encoder._images.batch_of([encoder._images.pixels_of(IMAGES[0])], "cpu")
    with torch.inference_mode():
        tokens = model(pixel_values=pixels).last_hidden_state[0]
    assert len(tokens) == 1 + 4 + 16
    np.testing.assert_allclose(found["embedding"][0], tokens[5:].mean(dim=0), rtol=1e-3, atol=1e-4)


def test_a_text_model_may_be_saved_without_its_pooler(tmp_path):
    from transformers import BertConfig, BertModel

    words = tiny_models.tokenizer(tmp_path)
    config = BertConfig(vocab_size=words, **tiny_models.tower())
    BertModel(config, add_pooling_layer=False).save_pretrained(tmp_path)
    _, found = vectors("text", str(tmp_path), [(None, CAPTIONS[0])])
    assert found["embedding"].shape == (1, 32)


def test_latents_are_the_posterior_of_diffusers(folders):
    from diffusers import AutoencoderKL

    folder = folders(tiny_models.autoencoder)
    encoder, found = vectors("vae", folder, [(body, None) for body in IMAGES], sizes=["260x260"])
    assert encoder.fields["mean"].shape == (4, 130, 130)
    pixels = np.stack([np.asarray(image) for image in pictures()])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        model = AutoencoderKL.from_pretrained(folder).eval()
        expected = model.encode(images).latent_dist
    np.testing.assert_allclose(found["mean"], expected.mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found["logvar"], expected.logvar, rtol=1e-3, atol=1e-4)


def test_images_of_another_ratio_are_another_group(folders):
    folder = folders(tiny_models.autoencoder)
    sizes = ["64x64", "48x96", "96x48"]
    encoder = open_encoder("vae", {"model": folder, "device": "cpu", "sizes": sizes})
    groups = []
    for width, height in ((100, 100), (300, 140), (70, 190), (20, 21)):
        file = io.BytesIO()
        Image.new("RGB", (width, height), "red").save(file, "PNG")
        prepared = encoder.prepare(file.getvalue(), None)
        groups.append(prepared.group)
        assert prepared.group == "x".join(map(str, prepared.data.shape[:2]))
    assert groups == ["64x64", "48x96", "96x48", "64x64"]
    assert encoder.fields["mean"].shape == (4, None, None)


@pytest.mark.parametrize("sizes", [["63x64"], ["64"], ["0x8"], [], "64x64"], ids=str)
def test_sizes_that_the_model_cannot_take_are_refused(folders, sizes):
    folder = folders(tiny_models.autoencoder)
    with pytest.raises(ConfigurationError, match="sizes: expected"):
        open_encoder("vae", {"model": folder, "device": "cpu", "sizes": sizes})
