"""Models with random weights, a few kilobytes each, saved as published ones are."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = [
    *("a", "rocket", "at", "night", "coffee", "one", "cat", "that", "looks", "the", "camera"),
    *("close", "up", "street", ",", "query", ":"),
]


def tokenizer(folder, *, longest=32):
    """Save a tokenizer of words, with marks at both ends of a text."""
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["<pad>", "<s>", "</s>", "<unk>"])}
    for word in WORDS:
        vocabulary[word] = len(vocabulary)
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=longest,
    ).save_pretrained(folder)
    return len(vocabulary)


def tower(**more):
    return {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        **more,
    }


def text_tower(words, **more):
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return tower(vocab_size=words, max_position_embeddings=16, **ends, **more)


def clip(folder):
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    words = tokenizer(folder)
    config = CLIPConfig(
        text_config=text_tower(words),
        vision_config=tower(image_size=64, patch_size=16),
        projection_dim=24,
    )
    _saved(CLIPModel(config), folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}
    ).save_pretrained(folder)


def siglip(folder):
    from transformers import SiglipConfig, SiglipModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    words = tokenizer(folder)
    config = SiglipConfig(
        text_config=text_tower(words),
        vision_config=tower(image_size=64, patch_size=16),
    )
    _saved(SiglipModel(config), folder)
    SiglipImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)


def dinov2(folder):
    from transformers import Dinov2Config, Dinov2Model
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

    config = Dinov2Config(image_size=56, patch_size=14, **tower(mlp_ratio=2))
    _saved(Dinov2Model(config), folder)
    BitImageProcessorPil(
        size={"shortest_edge": 64},
        crop_size={"height": 56, "width": 56},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    ).save_pretrained(folder)


def bert(folder):
    from transformers import BertConfig, BertModel

    words = tokenizer(folder)
    config = BertConfig(**tower(vocab_size=words, max_position_embeddings=32, pad_token_id=0))
    _saved(BertModel(config), folder)


def sentences(folder):
    """Save a model of sentence-transformers: BERT, and the mean of its tokens."""
    bert(folder)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {
            "idx": 1,
            "name": "1",
            "path": "1_Pooling",
            "type": "sentence_transformers.models.Pooling",
        },
    ]
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    Path(folder, "1_Pooling").mkdir()
    Path(folder, "1_Pooling", "config.json").write_text(json.dumps(pooling))
    Path(folder, "modules.json").write_text(json.dumps(modules))
    limits = {"max_seq_length": 12, "do_lower_case": False}
    Path(folder, "sentence_bert_config.json").write_text(json.dumps(limits))


def t5(folder):
    from transformers import T5Config, T5EncoderModel

    words = tokenizer(folder)
    config = T5Config(
        vocab_size=words, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, pad_token_id=0
    )
    _saved(T5EncoderModel(config), folder)


def autoencoder(folder):
    from diffusers import AutoencoderKL

    torch.manual_seed(3)
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=32,
    ).save_pretrained(folder)


def _saved(model, folder):
    """Save a model whose weights are the same in every run, and large enough to matter."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for values in model.parameters():
            values.copy_(torch.randn(values.shape, generator=generator) * 0.2)
    model.save_pretrained(folder)


#: Encoder -> what saves a model for it, and further options.
MODELS = {
    "clip": (clip, {"reads": "image_and_text"}),
    "siglip": (siglip, {"reads": "image_and_text"}),
    "dinov2": (dinov2, {}),
    "text": (sentences, {}),
    "text_encoder": (t5, {}),
    "vae": (autoencoder, {"sizes": ("48x64", "64x64")}),
}


def options_for(name, folder):
    """Save a model for an encoder and return its options; {} for one that needs no model."""
    if name not in MODELS:
        return {}
    save, options = MODELS[name]
    save(folder)
    return {"model": str(folder), "device": "cpu", **options}
