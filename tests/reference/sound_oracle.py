"""The reference for sounds: transformers' MusicgenForConditionalGeneration and peft run in true float64 (or in their own float32).

Everything here calls the real libraries, `generate` included; the only thing of ours is the optimiser loop around them,
which is that of oracle.py, with transformers' own loss of each batch and the mean over accumulated ones.
"""

from pathlib import Path

import oracle
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import MusicgenForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput


def load_base(folder, dtype):
    """The folder as a model whose every parameter and buffer is `dtype`. Call inside oracle.arithmetic()."""
    model = MusicgenForConditionalGeneration.from_pretrained(folder, dtype=dtype, attn_implementation='eager', local_files_only=True)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and tensor.dtype != dtype:
            raise AssertionError(f'{name} is {tensor.dtype}, not {dtype}')
    check_stored(model, oracle.read_weights(folder), dtype)
    # transformers leaves it to whoever trains to put it there.
    model.config.decoder.decoder_start_token_id = model.generation_config.decoder_start_token_id
    return model.requires_grad_(False).eval()


def check_stored(model, stored, dtype):
    """The file's values are the model's, under either name of a normalised weight."""
    old = {'.weight_g': '.parametrizations.weight.original0', '.weight_v': '.parametrizations.weight.original1'}
    values = dict(model.named_parameters()) | dict(model.named_buffers())
    left = {n for n, _ in model.named_parameters()} - {'text_encoder.encoder.embed_tokens.weight'}
    for name, value in stored.items():
        for before, new in old.items():
            name = name.replace(before, new)
        if name.endswith('embed_positions.weights'):
            continue  # transformers computes its own
        if not torch.equal(values[name].detach(), value.to(dtype)):
            raise AssertionError(f'{name} is not what the file holds')
        left.discard(name)
    if left:
        raise AssertionError(f'not in the file: {sorted(left)[:3]}')


def load_adapted(folder, adapter, dtype):
    """The same with a PEFT adapter folder on it, its tensors trainable."""
    return oracle.adapted(load_base(folder, dtype), adapter, dtype)


def load(folder, adapter, dtype):
    """With the adapter where there is one."""
    return load_adapted(folder, adapter, dtype) if adapter else load_base(folder, dtype)


# What the components give, under the names of the headless runner.


def is_stereo(model):
    return model.config.decoder.audio_channels == 2


def embed_audio(model, values):
    """Codes [N, K, frames] of [N, C, samples] as the codec gives them, stereo with each channel alone, left on the even ones."""
    encode = lambda part: model.audio_encoder.encode(part).audio_codes[0]
    if not is_stereo(model):
        return encode(values)
    return torch.stack([encode(values[:, :1]), encode(values[:, 1:])], dim=2).flatten(1, 2)


def decode_audio(model, codes):
    """Samples [N, C, frames·hop] of codes [N, K, frames], as MusicGen's generate decodes them."""
    decode = lambda part: model.audio_encoder.decode(part[None], audio_scales=[None]).audio_values
    return torch.cat([decode(codes[:, 0::2]), decode(codes[:, 1::2])], dim=1) if is_stereo(model) else decode(codes)


def decoder_logits(model, codes, states, mask):
    """[N, K, T, V]: of decoder_input_ids [N, K, T]."""
    rows, codebooks, length = codes.shape
    outputs = model(
        encoder_outputs=BaseModelOutput(last_hidden_state=states), attention_mask=mask, decoder_input_ids=codes.reshape(rows * codebooks, length)
    )
    return outputs.logits.reshape(rows, codebooks, length, -1)


def run_component(model, component, inputs, dtype):
    """Outputs of one component of the headless runner, by name."""
    inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs.items()}
    with torch.no_grad():
        if component == 'text_encoder':
            return {'last_hidden_state': model.text_encoder(**inputs).last_hidden_state}
        if component == 'decoder':
            names = ('decoder_input_ids', 'encoder_hidden_states', 'encoder_attention_mask')
            return {'logits': decoder_logits(model, *(inputs[n] for n in names))}
        if component == 'audio_encoder':
            return {'audio_codes': embed_audio(model, inputs['input_values']).contiguous()}
        return {'audio_values': decode_audio(model, inputs['audio_codes'])}


def code_margin(model, values):
    """How clearly the codes were chosen: the least difference of a row's two smallest distances over the size of their terms."""
    codec, least = model.audio_encoder, float('inf')
    used = model.config.decoder.num_codebooks // model.config.decoder.audio_channels
    with torch.no_grad():
        for channel in values.split(1, dim=1):
            left = codec.encoder(channel)
            for layer in codec.quantizer.layers[:used]:
                flat, words = left.transpose(1, 2).flatten(0, 1), layer.codebook.embed
                terms = flat.pow(2).sum(1, keepdim=True) + words.pow(2).sum(1)
                top = (terms - 2 * flat @ words.t()).topk(2, largest=False)
                gaps = (top.values[:, 1] - top.values[:, 0]) / terms.gather(1, top.indices[:, :1])[:, 0]
                least = min(least, float(gaps.min()))
                left = left - layer.decode(layer.encode(left))
    return least


# Training


def step_losses(model, micro_batches):
    """The losses of one optimiser step, to be summed: each batch's share of their mean."""
    for micro in micro_batches:
        yield model(**micro).loss / len(micro_batches)


def train(model, batch, recipe):
    """Runs the recipe on a prepared batch, rows in file order; the record of oracle.optimise."""
    return oracle.optimise_model(model, batch, recipe, step_losses)


# Generation


def greedy(model, ids, steps):
    """MusicGen's own generate from token ids: codes [1, K, frames], audio [1, C, samples], the least top-two margin met."""
    row = torch.tensor([ids])
    with torch.no_grad():
        out = model.generate(
            input_ids=row, attention_mask=torch.ones_like(row), max_new_tokens=steps, do_sample=False, top_k=None, return_dict_in_generate=True,
            output_scores=True, guidance_scale=3.0,
        )
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    settings = base.config.decoder
    codebooks = settings.num_codebooks
    of_channel = codebooks // settings.audio_channels
    frames = steps + 1 - of_channel
    chosen = torch.stack([s.argmax(-1) for s in out.scores], dim=1)
    codes = torch.stack([chosen[k, (late := k // settings.audio_channels) : late + frames] for k in range(codebooks)])[None]
    top = torch.stack(out.scores, dim=1).topk(2).values
    margin = float((top[..., 0] - top[..., 1]).min())
    if float((decode_audio(base, codes) - out.sequences).abs().max()) > 1e-9 and out.sequences.dtype == torch.float64:
        raise AssertionError("generate's audio is not that of the codes")
    return codes, out.sequences, margin

