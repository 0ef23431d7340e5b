"""Writes tests/fixtures/look-captioner: a tiny random picture-to-words model of real classes (ViT and GPT-2 with cross-attention,
as nlpconnect/vit-gpt2-image-captioning), exported to ONNX under the names that transformers.js reads, and the words that
transformers itself says for a few pictures.

Needs, beside requirements.txt: onnx and onnxscript.

python look_captioner.py [--out DIR]"""

import argparse
import json
import pathlib

import numpy as np
import torch
from onnx.reference import ReferenceEvaluator
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

SIDE = 32
WORDS = "a red green blue yellow dark bright small large cat dog bird house tree stone flower sits stands sleeps on under near the grass water sand wall sky night day".split()
NEW_TOKENS = 8
# Random weights hardly look at the picture nor change their words; made larger, they do.
SHARPER = 12


def tokenizer():
    # Word pieces with the space before them, as GPT-2's byte-level vocabulary has them.
    vocab = {"<|endoftext|>": 0, **{"Ġ" + word: i + 1 for i, word in enumerate(WORDS)}}
    inner = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|endoftext|>", bos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )


def model(vocabulary, seed=11):
    torch.manual_seed(seed)
    encoder = ViTModel(
        ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, image_size=SIDE, patch_size=8),
        add_pooling_layer=False,
    )
    decoder = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocabulary,
            n_positions=64,
            n_embd=16,
            n_layer=2,
            n_head=2,
            is_decoder=True,
            add_cross_attention=True,
            bos_token_id=0,
            eos_token_id=0,
        )
    )
    whole = VisionEncoderDecoderModel(encoder=encoder, decoder=decoder)
    with torch.no_grad():
        for name, value in whole.named_parameters():
            if value.dim() > 1:
                value.mul_(SHARPER if "crossattention" in name or "encoder" in name else 4)
    whole.config.decoder_start_token_id = 0
    whole.config.pad_token_id = 0
    whole.config.eos_token_id = 0
    return whole.eval()


class Encoder(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, pixel_values):
        return self.encoder(pixel_values=pixel_values).last_hidden_state


class Passing(DynamicCache):
    """Keeps nothing. The library's own joins onto an empty tensor of one dimension, which ONNX has no word for."""

    def update(self, keys, values, layer, *_args, **_named):
        return keys, values


class Longer(DynamicCache):
    def __init__(self, past):
        super().__init__()
        self.all = list(past)

    def update(self, keys, values, layer, *_args, **_named):
        for kind, new in enumerate((keys, values)):
            self.all[2 * layer + kind] = torch.cat([self.all[2 * layer + kind], new], 2)
        return self.all[2 * layer], self.all[2 * layer + 1]


class Decoder(torch.nn.Module):
    """One step: the keys and values of the words so far come in and go out one word longer."""

    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, input_ids, encoder_hidden_states, *past):
        own = Longer(past)
        # Positions and mask by hand: the library's own would be traced as constants.
        before, length = past[0].shape[2], input_ids.shape[1]
        positions = torch.arange(length) + before
        seen = torch.arange(before + length)[None] <= positions[:, None]
        out = self.decoder(
            input_ids=input_ids,
            position_ids=positions[None],
            attention_mask=torch.where(seen, 0.0, -1e9)[None, None],
            encoder_hidden_states=encoder_hidden_states,
            past_key_values=EncoderDecoderCache(own, Passing()),
            use_cache=True,
        )
        return (out.logits, *own.all)


def export(whole, folder):
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    whole.set_attn_implementation("eager")
    torch.onnx.export(
        Encoder(whole.encoder).eval(),
        (torch.randn(1, 3, SIDE, SIDE),),
        folder / "onnx/encoder_model.onnx",
        input_names=["pixel_values"],
        output_names=["last_hidden_state"],
        dynamic_axes={"pixel_values": {0: "batch_size"}, "last_hidden_state": {0: "batch_size"}},
        dynamo=False,
    )
    config = whole.decoder.config
    shape = (1, config.n_head, 3, config.n_embd // config.n_head)
    past = [torch.randn(shape) for _ in range(2 * config.n_layer)]
    kinds = [f"{layer}.{kind}" for layer in range(config.n_layer) for kind in ("key", "value")]
    axes = {"input_ids": {0: "batch_size", 1: "length"}, "encoder_hidden_states": {0: "batch_size", 1: "patches"}, "logits": {0: "batch_size", 1: "length"}}
    axes |= {f"past_key_values.{kind}": {0: "batch_size", 2: "past_length"} for kind in kinds}
    axes |= {f"present.{kind}": {0: "batch_size", 2: "length_so_far"} for kind in kinds}
    torch.onnx.export(
        Decoder(whole.decoder).eval(),
        (torch.tensor([[0, 4]]), torch.randn(1, (SIDE // 8) ** 2 + 1, 16), *past),
        folder / "onnx/decoder_model_merged.onnx",
        input_names=["input_ids", "encoder_hidden_states", *[f"past_key_values.{kind}" for kind in kinds]],
        output_names=["logits", *[f"present.{kind}" for kind in kinds]],
        dynamic_axes=axes,
        dynamo=False,
    )


def check(whole, folder):
    """The exported graphs against the model, with and without words so far."""
    pixels = torch.randn(1, 3, SIDE, SIDE)
    ids = torch.tensor([[0, 5, 9, 2, 7]])
    encoder = ReferenceEvaluator(str(folder / "onnx/encoder_model.onnx"))
    decoder = ReferenceEvaluator(str(folder / "onnx/decoder_model_merged.onnx"))
    with torch.no_grad():
        want = whole(pixel_values=pixels, decoder_input_ids=ids).logits[0].numpy()
    (seen,) = encoder.run(None, {"pixel_values": pixels.numpy()})
    config = whole.decoder.config
    names = [f"past_key_values.{layer}.{kind}" for layer in range(config.n_layer) for kind in ("key", "value")]
    past = [np.zeros((1, config.n_head, 0, config.n_embd // config.n_head), np.float32) for _ in names]
    got = []
    for step in range(ids.shape[1]):
        feeds = {"input_ids": ids[:, step : step + 1].numpy(), "encoder_hidden_states": seen, **dict(zip(names, past))}
        logits, *past = decoder.run(None, feeds)
        got.append(logits[0, 0])
    error = np.linalg.norm(np.stack(got) - want) / np.linalg.norm(want)
    assert error < 1e-5, error


def picture(seed):
    """Bands of colour that the test draws by the same rule."""
    x, y = np.meshgrid(np.arange(48), np.arange(48))
    return np.stack([(x * (3 + seed)) % 256, (y * (5 + 2 * seed)) % 256, ((x + y) * (1 + 3 * seed)) % 256], -1).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "fixtures/look-captioner")
    out = parser.parse_args().out
    words = tokenizer()
    whole = model(len(words))
    processor = ViTImageProcessor(size={"height": SIDE, "width": SIDE}, resample=2)
    export(whole, out)
    check(whole, out)
    whole.config.save_pretrained(out)
    words.save_pretrained(out)
    processor.save_pretrained(out)
    whole.generation_config.update(decoder_start_token_id=0, eos_token_id=0, pad_token_id=0, max_new_tokens=NEW_TOKENS)
    whole.generation_config.save_pretrained(out)
    told = []
    for seed in range(4):
        # Already of the model's size, so that no two libraries' scaling is compared.
        values = processor(picture(seed)[:SIDE, :SIDE], return_tensors="pt").pixel_values
        with torch.no_grad():
            ids = whole.generate(values, max_new_tokens=NEW_TOKENS, do_sample=False, num_beams=1)
        told.append({"seed": seed, "text": words.decode(ids[0], skip_special_tokens=True).strip()})
        print(told[-1])
    (out / "expected.json").write_text(json.dumps({"side": SIDE, "captions": told}, indent=1) + "\n")


if __name__ == "__main__":
    main()
