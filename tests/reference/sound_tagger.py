"""Writes tests/fixtures/sound-tagger: a tiny random model that compares sounds with words, of the real classes (CLAP, as
laion/clap-htsat-unfused), exported to ONNX under the names that transformers.js reads, and the scores that transformers itself
gives a few sounds.

Needs, beside requirements.txt: onnx and onnxscript (the fixture is of 1.23.2 and 0.7.2).

python sound_tagger.py [--out DIR]"""

import argparse
import json
import pathlib

import numpy as np
import torch
from onnx.reference import ReferenceEvaluator
from tokenizers import pre_tokenizers
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, RobertaTokenizer

RATE = 8000
SECONDS = 1
MELS = 16
# Few enough positions for the evaluator of onnx, whose GatherElements takes no more than 63.
TEXT_LENGTH = 61
WORDS = "this is the sound of music drums piano guitar choir bells".split()
# Of several lengths in tokens, so that all but the longest are padded.
LABELS = ["bells", "a choir", "drums", "an electric guitar", "a piano", "rain on a tin roof", "wind"]
SENTENCE = "This is the sound of {}."
# Random weights hardly look at the sound nor at the words; made larger, they do.
SHARPER = 6


def tokenizer():
    # Bytes, and words joined letter by letter: any text has ids.
    merges, vocab = [], {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])}
    for letter in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocab[letter] = len(vocab)
    for word in WORDS:
        piece = "Ġ"
        for letter in word:
            if piece + letter not in vocab:
                merges.append((piece, letter))
                vocab[piece + letter] = len(vocab)
            piece += letter
    return RobertaTokenizer(vocab=vocab, merges=merges, model_max_length=TEXT_LENGTH)


def model(vocabulary, seed=2):
    torch.manual_seed(seed)
    config = ClapConfig(
        text_config=dict(
            vocab_size=vocabulary,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            # The first two positions are kept for padding.
            max_position_embeddings=TEXT_LENGTH + 2,
        ),
        # The spectrogram is stretched in time and folded to a square, as that of the real model: here 51 × 16, 64 × 16, 32 × 32.
        audio_config=dict(
            num_mel_bins=MELS,
            spec_size=2 * MELS,
            window_size=4,
            patch_embeds_hidden_size=8,
            hidden_size=16,
            # The second block of the first stage has shifted windows.
            depths=[2, 1],
            num_attention_heads=[2, 2],
        ),
        projection_dim=12,
    )
    whole = ClapModel(config)
    with torch.no_grad():
        for name, value in whole.named_parameters():
            if value.dim() > 1:
                value.mul_(SHARPER)
        norm = whole.audio_model.audio_encoder.batch_norm
        # Decibels, about as they come.
        norm.running_mean.uniform_(-30, -10)
        norm.running_var.uniform_(100, 400)
    return whole.eval()


class Whole(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, input_ids, input_features, attention_mask):
        out = self.inner(input_ids=input_ids, input_features=input_features, attention_mask=attention_mask)
        return out.logits_per_audio, out.logits_per_text, out.text_embeds, out.audio_embeds


def export(whole, words, features, folder):
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    whole.set_attn_implementation("eager")
    texts = words(["a bell", "some longer text"], padding=True, return_tensors="pt")
    names = ["logits_per_audio", "logits_per_text", "text_embeds", "audio_embeds"]
    text_axes = {0: "text_batch_size", 1: "sequence_length"}
    torch.onnx.export(
        Whole(whole).eval(),
        (texts.input_ids, features, texts.attention_mask),
        folder / "onnx/model.onnx",
        input_names=["input_ids", "input_features", "attention_mask"],
        output_names=names,
        dynamic_axes={
            "input_ids": text_axes,
            "attention_mask": text_axes,
            "input_features": {0: "audio_batch_size"},
            "logits_per_audio": {0: "audio_batch_size", 1: "text_batch_size"},
            "logits_per_text": {0: "text_batch_size", 1: "audio_batch_size"},
            "text_embeds": {0: "text_batch_size"},
            "audio_embeds": {0: "audio_batch_size"},
        },
        dynamo=False,
    )


def check(whole, words, features, folder):
    """The exported graph against the model, on other texts and as many more than it was traced with."""
    texts = words([SENTENCE.format(label) for label in LABELS], padding=True, return_tensors="pt")
    graph = ReferenceEvaluator(str(folder / "onnx/model.onnx"))
    feeds = {"input_features": features, **texts}
    got, *_ = graph.run(None, {name: value.numpy() for name, value in feeds.items()})
    with torch.no_grad():
        want = whole(**feeds).logits_per_audio.numpy()
    error = np.linalg.norm(got - want) / np.linalg.norm(want)
    assert error < 1e-5, error


def sound(seed, count):
    """A rising tone over noise that the test makes by the same rule."""
    n = np.arange(count, dtype=np.float64)
    time = n / RATE
    tone = np.sin(2 * np.pi * (150 * (seed + 1) * time + 300 * time**2))
    noise = (31 * (seed + 1) * n * n) % 1009 / 1009 - 0.5
    return (0.4 * tone + 0.1 * noise).astype(np.float32)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "fixtures/sound-tagger")
    out = parser.parse_args().out
    words = tokenizer()
    whole = model(len(words))
    extractor = ClapFeatureExtractor(
        feature_size=MELS,
        sampling_rate=RATE,
        hop_length=RATE // 50,
        max_length_s=SECONDS,
        fft_window_size=256,
        frequency_min=50,
        frequency_max=RATE // 2,
        truncation="rand_trunc",
        padding="repeatpad",
    )
    most = SECONDS * RATE

    def hear(samples, padding="repeatpad"):
        return extractor(samples, sampling_rate=RATE, padding=padding, return_tensors="pt").input_features

    features = hear(sound(9, most))
    export(whole, words, features, out)
    check(whole, words, features, out)
    whole.config.architectures = ["ClapModel"]
    whole.config.save_pretrained(out)
    words.save_pretrained(out)
    extractor.save_pretrained(out)
    whole.double()
    texts = words([SENTENCE.format(label) for label in LABELS], padding=True, return_tensors="pt")
    told = []
    # As long as the model hears, a part that it hears three times over and a rest, one that fits twice exactly, more than it
    # hears, of which the middle is told, and the other ways to fill what is left.
    cases = [(most, "repeatpad"), (most * 3 // 10, "repeatpad"), (most // 2, "repeatpad"), (most * 5 // 2 + 1, "repeatpad")]
    cases += [(most * 3 // 10, "repeat"), (most * 3 // 10, "pad")]
    for seed, (count, padding) in enumerate(cases):
        start = max(0, (count - most) // 2)
        samples = sound(seed, count)[start : start + most]
        with torch.no_grad():
            logits = whole(input_features=hear(samples, padding).double(), **texts).logits_per_audio[0]
        scores = [round(score, 7) for score in logits.softmax(0).tolist()]
        told.append({"seed": seed, "samples": count, "padding": padding, "scores": scores})
        print(told[-1])
    expected = {"sampleRate": RATE, "sentence": SENTENCE, "labels": LABELS, "clips": told}
    (out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
