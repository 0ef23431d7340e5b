"""Trains the decoder and the text encoder together, on codes of the composer's pieces, and writes one MusicGen folder.

python train.py --codec DIR/codec --out DIR [--minutes 90]

A folder that can be used is written every --save minutes. The rate falls with the clock or with the steps, whichever is
further on, so that the run ends in time."""

import argparse
import json
import pathlib
import random
import shutil
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from transformers import (
    AutoTokenizer,
    EncodecFeatureExtractor,
    EncodecModel,
    GenerationConfig,
    MusicgenDecoderConfig,
    MusicgenForCausalLM,
    MusicgenForConditionalGeneration,
    T5Config,
    T5EncoderModel,
)

sys.path.append(str(pathlib.Path(__file__).parent.parent / "embedded-look"))

import captions
import compose
import team
import words
from codec import BOOKS, CODES
from instruments import RATE
from muon import Both

START = CODES  # the token that stands where there is no code
WIDTH, TEXT = 192, 128
FIRST = 2_000_000
HELD_OUT = 600_000_000
WEIGHT = torch.tensor([1.5, 1.1, 0.8, 0.6])  # of the books: the first ones say which note is played


def text_model(vocabulary):
    return T5EncoderModel(
        T5Config(
            vocab_size=vocabulary,
            d_model=TEXT,
            d_kv=32,
            d_ff=384,
            num_layers=3,
            num_heads=4,
            feed_forward_proj="relu",
            dropout_rate=0.0,
            is_encoder_decoder=False,
            use_cache=False,
            pad_token_id=0,
            eos_token_id=1,
        )
    )


def decoder_model():
    config = MusicgenDecoderConfig(
        vocab_size=CODES,
        max_position_embeddings=1024,
        num_hidden_layers=4,
        ffn_dim=640,
        num_attention_heads=6,
        hidden_size=WIDTH,
        num_codebooks=BOOKS,
        dropout=0.0,
        pad_token_id=START,
        bos_token_id=START,
        decoder_start_token_id=START,
    )
    model = MusicgenForCausalLM(config)
    for table in model.model.decoder.embed_tokens:
        torch.nn.init.normal_(table.weight, std=0.2)
    return model


def whole(codec, vocabulary):
    model = MusicgenForConditionalGeneration(text_encoder=text_model(vocabulary), audio_encoder=codec, decoder=decoder_model())
    # Put together like this, the decoder is left without a mask, and steps would see those to come.
    model.decoder.set_attn_implementation("sdpa")
    must_not_look_ahead(model)
    return model


def must_not_look_ahead(model):
    """Raises an error if a later code changes what comes before it."""
    ids = torch.arange(2 * BOOKS * 9).view(2, BOOKS, 9)
    ids[1, :, :6] = ids[0, :, :6]
    with torch.no_grad():
        out = model.decoder.model(
            input_ids=ids.reshape(-1, 9), encoder_hidden_states=torch.zeros(2, 3, WIDTH), use_cache=False
        ).last_hidden_state
    apart = (out[0] - out[1]).abs().amax(-1)
    if apart[:6].max() > 1e-4 or apart[6:].min() < 1e-4:
        raise RuntimeError("The decoder looks ahead.")


def delayed(codes):
    """Codes (clips, books, frames) to the decoder's input and its labels, (clips, books, frames + books - 1).

    Book k comes k steps late; what has no code is START in the input and -100 in the labels."""
    clips, books, frames = codes.shape
    steps = frames + books - 1
    labels = torch.full((clips, books, steps), -100)
    for k in range(books):
        labels[:, k, k : k + frames] = codes[:, k]
    start = torch.full((clips, books, 1), START)
    return torch.cat([start, labels.masked_fill(labels < 0, START)[..., :-1]], -1), labels


def hidden_of(model, states, mask, ids):
    return model.decoder.model(
        input_ids=ids.reshape(-1, ids.shape[-1]), encoder_hidden_states=states, encoder_attention_mask=mask, use_cache=False
    ).last_hidden_state


@torch.no_grad()
def with_guesses(model, states, mask, ids, most):
    """Some of the decoder's input replaced by what the model itself draws there, so that it learns to go on from its own slips.

    Up to `most` of a clip's codes (scheduled sampling in two passes: Mihaylova and Martins, 2019, arXiv 1906.07651)."""
    hidden = hidden_of(model, states, mask, ids)[:, :-1]
    drawn = torch.stack([head(hidden) for head in model.decoder.lm_heads], 1)
    # The largest of logits with Gumbel noise is a draw from their softmax.
    drawn = (drawn - torch.empty_like(drawn).exponential_().log_()).argmax(-1)
    chosen = torch.rand(drawn.shape) < most * torch.rand(len(ids), 1, 1)
    old = ids[..., 1:]
    return torch.cat([ids[..., :1], torch.where(chosen & (old != START), drawn, old)], -1)


def losses(model, states, mask, codes, guesses=0.0):
    """The mean of the cross-entropy for every book. states are those of the text, with rows of zeros where it is left out."""
    ids, labels = delayed(codes)
    if guesses:
        ids = with_guesses(model, states, mask, ids, guesses)
    hidden = hidden_of(model, states, mask, ids)
    return torch.stack([F.cross_entropy(head(hidden).transpose(1, 2), labels[:, k]) for k, head in enumerate(model.decoder.lm_heads)])


def told(model, tokenizer, texts, kept):
    """States of texts, those not kept being zeros throughout."""
    rows = tokenizer(texts, padding=True, truncation=True, max_length=words.LENGTH, return_tensors="pt")
    states = model.enc_to_dec_proj(model.text_encoder(rows.input_ids, attention_mask=rows.attention_mask).last_hidden_state)
    mask = rows.attention_mask.clone()
    mask[~kept] = 1  # whatever is seen there adds nothing
    return states * (rows.attention_mask * kept[:, None])[..., None], mask


class Pieces:
    """Codes of pieces, made when first asked for, then kept."""

    def __init__(self, codec, first, count):
        self.codec, self.first = codec, first
        self.codes = torch.zeros(count, BOOKS, compose.FRAMES, dtype=torch.int16)
        self.have = torch.zeros(count, dtype=torch.bool)
        self.pieces = [None] * count

    def __call__(self, picks):
        new = picks[~self.have[picks]].unique()
        if len(new):
            sounds = []
            for i in new.tolist():
                self.pieces[i], notes = compose.make(self.first + i)
                sounds.append(torch.tensor(compose.render(notes)))
            with torch.no_grad():
                self.codes[new] = self.codec.encode(torch.stack(sounds)[:, None]).audio_codes[0].to(torch.int16)
            self.have[new] = True
        return self.codes[picks].long(), [self.pieces[i] for i in picks.tolist()]


def write(folder, model, tokenizer):
    """All parts in half precision, without a trace of where they were made."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    copy = MusicgenForConditionalGeneration(model.config)
    copy.load_state_dict(model.state_dict())
    copy.generation_config = GenerationConfig(
        do_sample=True, guidance_scale=2.0, top_k=25, temperature=0.9, max_length=compose.FRAMES + BOOKS,
        bos_token_id=START, pad_token_id=START, decoder_start_token_id=START,
    )  # fmt: skip
    copy.half().save_pretrained(part)
    config = json.loads((part / "config.json").read_text())
    for name in ("audio_encoder", "decoder", "text_encoder"):
        config[name].pop("_name_or_path", None)
    (part / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    EncodecFeatureExtractor(sampling_rate=RATE).save_pretrained(part)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, part / name)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def judge(model, tokenizer, pieces, count=32):
    """Losses of every book on pieces that were not trained on, with their captions and without."""
    codes, told_of = pieces(torch.arange(count))
    texts = [captions.captions(p, HELD_OUT + i, 1)[0] for i, p in enumerate(told_of)]
    result = {}
    with torch.no_grad():
        for name, keep in (("captions", True), ("none", False)):
            states, mask = told(model, tokenizer, texts, torch.full((count,), keep))
            result[name] = [round(x, 4) for x in losses(model, states, mask, codes).tolist()]
    return result


def work(args, rank, size):
    torch.manual_seed(2)
    codec = EncodecModel.from_pretrained(args.codec).half().float().eval()
    tokenizer = AutoTokenizer.from_pretrained(args.out / "tokenizer")
    model, smooth = whole(codec, len(tokenizer)), whole(codec, len(tokenizer)).eval()
    if args.start:
        model.load_state_dict(MusicgenForConditionalGeneration.from_pretrained(args.start, dtype=torch.float32).state_dict())
    smooth.load_state_dict(model.state_dict())
    named = [(n, p) for n, p in model.named_parameters() if not n.startswith("audio_encoder")]
    live = [p for _, p in named]
    have = dict(smooth.named_parameters())
    follow = [have[n] for n, _ in named]
    both = Both(named, args.rate, ("embed", "lm_heads", "shared", "relative_attention_bias"), 0.02, rank, size)
    order, rng = torch.Generator().manual_seed(2 + rank), random.Random(2 + rank)
    own = args.pieces // size
    pieces, held = Pieces(codec, args.first + rank * own, own), Pieces(codec, HELD_OUT, 32)
    batch = args.batch // size
    begun = saved = time.time()
    step, done, mean, queue = 0, 0.0, None, torch.empty(0, dtype=torch.long)
    while done < 1:
        both.set_rate(args.rate * min(1, (step + 1) / 100) * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * done))))
        if len(queue) < batch:
            queue = torch.cat([queue, torch.randperm(own, generator=order)])
        picks, queue = queue[:batch], queue[batch:]
        codes, of = pieces(picks)
        if done < args.short:
            codes = codes[..., : compose.FRAMES // 2]
        texts = ["" if rng.random() < 0.02 else words.disturb(captions.caption(p, rng), rng) for p in of]
        states, mask = told(model, tokenizer, texts, torch.rand(batch, generator=order) >= 0.12)
        each = losses(model, states, mask, codes, args.guesses if done >= args.sure else 0)
        both.zero_grad()
        (each * WEIGHT).mean().backward()
        done = team.share(live, max((time.time() - begun) / 60 / args.minutes, (step + 1) / args.steps), size)
        torch.nn.utils.clip_grad_norm_(live, 1)
        both.step()
        step += 1
        if rank:
            continue
        with torch.no_grad():
            torch._foreach_lerp_(follow, live, 1 - min(0.995, step / (step + 20)))
        mean = each.detach() if mean is None else mean.lerp(each.detach(), 0.02)
        if step % 50 == 0:
            print(step, round(time.time() - begun), [round(x, 3) for x in mean.tolist()], round(mean.mean().item(), 4), flush=True)
        if time.time() - saved > args.save * 60:
            saved = time.time()
            write(args.out / "sound", smooth, args.out / "tokenizer")
    if rank:
        return
    write(args.out / "sound", smooth, args.out / "tokenizer")
    report = {
        "steps": step,
        "minutes": round((time.time() - begun) / 60, 1),
        "loss": round(mean.mean().item(), 4),
        "held_out": judge(smooth, tokenizer, held),
        "vocabulary": len(tokenizer),
    }
    print(report)
    (args.out / "train.json").write_text(json.dumps(report, indent=1) + "\n")


def vocabulary():
    """Pieces of the tokenizer, from the captions of as many pieces as it takes for all words to come often."""
    rng, all_ = random.Random(3), []
    for seed in range(FIRST, FIRST + 8000):
        piece = compose.Piece(random.Random(seed))
        all_ += [words.disturb(captions.caption(piece, rng), rng) for _ in range(2)]
    return words.learn(all_)


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--codec", type=pathlib.Path, required=True)
    ask.add_argument("--out", type=pathlib.Path, required=True)
    ask.add_argument("--minutes", type=float, default=90)
    ask.add_argument("--steps", type=int, default=40_000)
    ask.add_argument("--batch", type=int, default=8, help="pieces a step, over all processes")
    ask.add_argument("--pieces", type=int, default=40_000)
    ask.add_argument("--first", type=int, default=FIRST, help="number of the first piece")
    ask.add_argument("--short", type=float, default=0.3, help="share of the run in which only the first half of each piece is learned")
    ask.add_argument("--guesses", type=float, default=0.4, help="share of a clip's codes that become the model's guesses, at the most")
    ask.add_argument("--sure", type=float, default=0.55, help="share of the run before there are any")
    ask.add_argument("--rate", type=float, default=3e-3)
    ask.add_argument("--save", type=float, default=4)
    ask.add_argument("--start", type=pathlib.Path, help="a folder of an earlier run, to go on from")
    ask.add_argument("--processes", type=int, default=2)
    args = ask.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    words.write(args.out / "tokenizer", vocabulary())
    team.run(work, args, args.processes)


if __name__ == "__main__":
    main()
