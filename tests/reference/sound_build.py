"""Builds sounds of sound_cases.py: a model folder, an adapter, a prepared batch file, a headless job, and what transformers,
peft and torch make of them in float64. make_fixtures.py writes those of tests/fixtures.
"""

import math
import os
import shutil
from pathlib import Path

import oracle
import sound_oracle
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from building import check_finite, check_gradients, float32_errors, normal, of_record, one_digit, save_peft_folder, slope_error, told, write_job, write_json
from sound_base import CAPTIONS, write_base
from sound_cases import RECIPE

# The least difference by which codes are chosen in greedy generation, far beyond any rounding in float32.
LEAST_SCORE_MARGIN = 1e-3


class Unclear(AssertionError):
    """These random weights decide too much by near ties."""


# Inputs


def token_rows(lengths, width, generator):
    """Text as T5's tokenizer pads it: words, the end, zeros on the right; a length of 0 is a row that the mask hides whole."""
    ids, mask = torch.zeros(len(lengths), width, dtype=torch.int64), torch.zeros(len(lengths), width, dtype=torch.int64)
    for i, length in enumerate(lengths):
        real = length or width
        ids[i, :real] = torch.randint(3, 90, (real,), generator=generator)
        ids[i, real - 1] = 1
        mask[i, :length] = 1
    return ids, mask


def delayed(codes, settings):
    """Labels [T, K] of codes [K, frames]: each codebook late by its number, stereo pairs together, the pad where there is none."""
    codebooks, frames = codes.shape
    of_channel = codebooks // settings['audio_channels']
    labels = torch.full((frames + of_channel - 1, codebooks), settings['pad_token_id'], dtype=torch.int64)
    for k in range(codebooks):
        late = k // settings['audio_channels']
        labels[late : late + frames, k] = codes[k]
    return labels


def make_batch(base, case, generator):
    """The prepared batch file's tensors: delayed codes, -100 behind the end of shorter rows and at places within."""
    settings = base['decoder']
    width = max(text for text, _ in case['rows']) + 1
    ids, mask = token_rows([text for text, _ in case['rows']], width, generator)
    codes = lambda frames: torch.randint(0, settings['vocab_size'], (settings['num_codebooks'], frames), generator=generator)
    rows = [delayed(codes(frames), settings) for _, frames in case['rows']]
    labels = torch.full((len(rows), max(len(r) for r in rows) + 1, settings['num_codebooks']), -100, dtype=torch.int64)
    for i, row in enumerate(rows):
        labels[i, : len(row)] = row
        labels[i, len(row) // 2, i % settings['num_codebooks']] = -100
    return {'input_ids': ids, 'attention_mask': mask, 'labels': labels}


def shifted(labels, settings):
    """The decoder's inputs [N, K, T], as transformers makes them from labels."""
    inputs = torch.full_like(labels, settings['pad_token_id'])
    inputs[:, 1:] = labels[:, :-1]
    return inputs.masked_fill(inputs == -100, settings['pad_token_id']).transpose(1, 2).contiguous()


def component_cases(folder, base, generator):
    """Runs of single components: name -> component, inputs."""
    settings, codec = base['decoder'], base['audio']
    codebooks, channels, size = settings['num_codebooks'], settings['audio_channels'], codec['codebook_size']
    hop = math.prod(codec['upsampling_ratios'])
    codes = lambda n, frames, most=size: torch.randint(0, most, (n, codebooks, frames), generator=generator)
    ids, mask = token_rows([base['long_text'], 7, 1], base['long_text'], generator)
    cases = {'text_encoder': ('text_encoder', {'input_ids': ids, 'attention_mask': mask})}
    width = 13
    mask = torch.zeros(3, width, dtype=torch.int64)
    mask[0], mask[1, :5] = 1, 1
    inputs = codes(3, 19, settings['vocab_size'] + 1)
    inputs[:, :, 0] = settings['pad_token_id']
    states = normal(generator, 3, width, base['text']['d_model'])
    cases['decoder'] = ('decoder', {'decoder_input_ids': inputs, 'encoder_hidden_states': states, 'encoder_attention_mask': mask})
    long, short = base['frames']
    sounds = {'audio_encoder': (2, int(long * hop)), 'audio_encoder-long': (1, int(12 * long * hop)), 'audio_encoder-short': (1, max(2, hop // 3))}
    with oracle.arithmetic(torch.float64):
        model = sound_oracle.load_base(folder / 'base', torch.float64)
        for name, (rows, length) in sounds.items():
            cases[name] = ('audio_encoder', {'input_values': clear_sound(model, (rows, channels, length), base['code_margin'], generator)})
    cases['audio_decoder'] = ('audio_decoder', {'audio_codes': codes(2, short)})
    cases['audio_decoder-long'] = ('audio_decoder', {'audio_codes': codes(1, int(8 * short))})
    cases['audio_decoder-short'] = ('audio_decoder', {'audio_codes': codes(1, 1)})
    return cases


def clear_sound(model, shape, margin, generator):
    """Noise over slow waves, [rows, channels, length], none of whose codes is a near tie."""
    rows, channels, length = shape
    for _ in range(200):
        time = torch.arange(length, dtype=torch.float32)
        waves = [0.4 * torch.sin(time * (0.03 + 0.7 * torch.rand(1, generator=generator)) + 6 * torch.rand(1, generator=generator)) for _ in range(rows * channels)]
        values = (torch.stack(waves).reshape(rows, channels, length) + 0.3 * normal(generator, rows, channels, length)).clamp(-1, 1)
        if sound_oracle.code_margin(model, values.double()) > margin:
            return values
    raise Unclear(f'no sound of {length} samples with clear codes found')


def write_components(folder, base_folder, cases, adapter=None):
    """components/<name>.safetensors, <name>.expected.safetensors and components.json; torch's own float32 errors by name."""
    path = folder / 'components'
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    results = {}
    for dtype in (torch.float64, torch.float32):
        with oracle.arithmetic(dtype):
            plain = sound_oracle.load_base(base_folder, dtype)
            tuned = sound_oracle.load_adapted(base_folder, adapter, dtype)
            of = lambda name: tuned if name.endswith('-adapter') else plain
            results[dtype] = {n: sound_oracle.run_component(of(n), *case, dtype) for n, case in cases.items()}
    about = []
    for name, (component, inputs) in cases.items():
        expected, own = results[torch.float64][name], results[torch.float32][name]
        save_file({k: v.contiguous() for k, v in inputs.items()}, path / f'{name}.safetensors')
        kept = {k: heard(inputs, v) for k, v in expected.items()}
        save_file({k: v.float() if v.is_floating_point() else v for k, v in kept.items()}, path / f'{name}.expected.safetensors')
        entry = {'name': name, 'component': component}
        if name.endswith('-adapter'):
            entry['adapter'] = 'adapter-init'
        if component == 'audio_encoder':
            if not torch.equal(own['audio_codes'], expected['audio_codes']):
                raise Unclear(f"{folder.name}: torch's own float32 codes of {name} differ")
        else:
            check_finite(f'{folder.name} {name}', expected)
            error = max(oracle.relative_error(heard(inputs, own[k]), kept[k]) for k in kept)
            entry['float32_error_of_torch'] = float(f'{error:.0e}')
        about.append(entry)
    write_json(folder / 'components.json', about)
    return {a['name']: a.get('float32_error_of_torch', 0.0) for a in about}


def heard(inputs, value):
    """Text states without those of the padding, which may be anything."""
    mask = inputs.get('attention_mask')
    return (value if mask is None else value * mask[..., None]).contiguous()


# Adapters


def write_adapter(folder, base, settings, generator):
    """A PEFT folder in which no tensor is zero, so that every gradient is not."""
    shutil.rmtree(folder, ignore_errors=True)
    with oracle.arithmetic(torch.float32):
        model = get_peft_model(sound_oracle.load_base(base, torch.float32), LoraConfig(lora_dropout=0.0, bias='none', **settings))
        with torch.no_grad():
            for name, p in sorted(oracle.adapter_tensors(model).items()):
                noise = normal(generator, *p.shape)
                if name.endswith('lora_embedding_A'):
                    p.copy_(noise)
                elif name.endswith('lora_A.weight'):
                    p.copy_(noise / math.sqrt(p.shape[1]))
                elif 'lora_B' in name or name.endswith('lora_embedding_B'):
                    p.copy_(0.3 * noise / math.sqrt(p.shape[1]))
                else:
                    p.mul_(1 + 0.2 * torch.tanh(noise))
        save_peft_folder(model, folder)


# Training


def evaluate(base, adapter, batch, recipe, dtype):
    """Everything expected.safetensors holds, computed in `dtype`."""
    with oracle.arithmetic(dtype):
        model = sound_oracle.load_adapted(base, adapter, dtype)
        record = sound_oracle.train(model, batch, recipe)
        return of_record(record, oracle.adapter_tensors(model))


def check_float64(base, adapter, batch, recipe, expected):
    """How far central differences of the first step's loss are from its gradients."""
    with oracle.arithmetic(torch.float64):
        model = sound_oracle.load_adapted(base, adapter, torch.float64)
        micro = next(oracle.steps_batches(batch, recipe))
        return slope_error(oracle.adapter_tensors(model), expected, lambda: sound_oracle.step_losses(model, micro))


def well_conditioned(result, change=2e-5):
    """Whether an f32 engine can be held to the limits: torch's own float32 run is ten times nearer, or nearly so."""
    own = result['float32_error_of_torch']
    parts = result['components']
    limit = lambda name: 1.5e-6 if name.startswith('audio') else 6e-7
    return (
        own['gradient_worst'] <= 6e-6
        and own['gradients_together'] <= 2e-6
        and own['adapter_change'] <= change
        and result['central_difference_error'] <= 1e-7
        and all(error <= limit(name) for name, error in parts.items())
    )


# Generation


def write_generation(folder, base_folder, spec, adapter, generator):
    """generation.json and generation.safetensors: greedy guided continuations that no float32 rounding can change."""
    tokenizer = AutoTokenizer.from_pretrained(str(base_folder), local_files_only=True)
    about = spec['generate']
    words = sorted({w for caption in CAPTIONS for w in caption.split()})
    prompt, steps = about['prompt'], about['steps']
    with oracle.arithmetic(torch.float64):
        models = {'base': sound_oracle.load_base(base_folder, torch.float64), 'adapter': sound_oracle.load_adapted(base_folder, adapter, torch.float64)}
        for _ in range(60):
            ids = tokenizer(prompt).input_ids
            results = {}
            for which, model in models.items():
                results[which] = sound_oracle.greedy(model, ids, steps)
                codes, _, margin = results[which]
                is_dull = about.get('varied') and any(len(set(row)) < 3 for row in codes[0].tolist())
                if margin < LEAST_SCORE_MARGIN or is_dull:
                    break
            else:
                if not torch.equal(results['base'][0], results['adapter'][0]):
                    break
            chosen = torch.randperm(len(words), generator=generator)[:5]
            prompt = ' '.join(words[i] for i in chosen)
        else:
            raise Unclear(f'{folder.name}: no prompt with clear greedy choices found')
    write_json(
        folder / 'generation.json',
        {
            'prompt': prompt,
            'prompt_ids': ids,
            'max_new_tokens': steps,
            'do_sample': False,
            'guidance_scale': 3.0,
            'least_margin': float(f'{min(r[2] for r in results.values()):.2g}'),
        },
    )
    tensors = {}
    for which, (codes, values, _) in results.items():
        tensors |= {f'{which}.audio_codes': codes.contiguous(), f'{which}.audio_values': values.float().contiguous()}
    save_file(tensors, folder / 'generation.safetensors')


def write_texts(folder, base_folder):
    """texts.json: what the tokenizer makes of texts, with characters and words that it does not know."""
    tokenizer = AutoTokenizer.from_pretrained(str(base_folder), local_files_only=True)
    texts = [*CAPTIONS[:4], '', ' ', '  two  spaces and a\ttab ', 'Übermäßig: zwölf ♪ 音楽', 'A SLOW WALTZ', 'hip-hop, 90bpm!?', '<extra_id_0> </s> <pad>']
    write_json(folder / 'texts.json', [{'text': text, 'input_ids': tokenizer(text).input_ids} for text in texts])


def build(folder, base_folder, base, case):
    """Writes a case folder; the base too, with its components, where it lies within. Returns what case.json holds and more."""
    folder, base_folder = Path(folder), Path(base_folder)
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(case['seed'])
    recipe = {**RECIPE, **case.get('recipe', {})}
    adapter = folder / 'adapter-init'
    own_base = base_folder.parent == folder
    if own_base:
        write_base(base_folder, base)
        if base.get('texts'):
            write_texts(folder, base_folder)
    write_adapter(adapter, base_folder, case['adapter'], generator)
    batch = make_batch(base, case, generator)
    save_file(batch, folder / 'batch.safetensors', metadata={'format': 'pt'})
    states = normal(generator, *batch['input_ids'].shape, base['text']['d_model'])
    inputs = {
        'decoder_input_ids': shifted(batch['labels'], base['decoder']),
        'encoder_hidden_states': states,
        'encoder_attention_mask': batch['attention_mask'],
    }
    cases = {'decoder-adapter': ('decoder', inputs)}
    if own_base:
        cases = component_cases(folder, base, torch.Generator().manual_seed(base['seed'] + 1)) | cases
    components = write_components(folder, base_folder, cases, adapter)
    if own_base and 'generate' in base:
        write_generation(folder, base_folder, base, adapter, torch.Generator().manual_seed(base['seed'] + 2))
    write_job(folder, 'sound', os.path.relpath(base_folder, folder), recipe)

    expected = evaluate(base_folder, adapter, batch, recipe, torch.float64)
    check_finite(folder.name, expected)
    check_gradients(folder.name, expected)
    slope = check_float64(base_folder, adapter, batch, recipe, expected)
    stored = {k: (v if '.' not in k else v.float()).contiguous() for k, v in expected.items()}
    save_file(stored, folder / 'expected.safetensors')
    own = evaluate(base_folder, adapter, batch, recipe, torch.float32)
    init = load_file(adapter / 'adapter_model.safetensors')
    errors = {'loss': one_digit(oracle.relative_error(own['loss'], expected['loss'])), **float32_errors(init, expected, own)}
    about = {'about': case['about'], 'float32_error_of_torch': errors}
    write_json(folder / 'case.json', about)
    return told(folder, about, expected, slope, components=components)
