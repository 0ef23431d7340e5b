"""Builds one case: a random base model, a random adapter, a batch, a headless job, and what the reference makes of them."""

import json
import math
import shutil
from pathlib import Path

import oracle
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from building import check_finite, check_gradients, float32_errors, of_record, one_digit, save_peft_folder, slope_error, told, write_job, write_json
from cases import RECIPE

DTYPES = {'float32': torch.float32, 'float16': torch.float16, 'bfloat16': torch.bfloat16}
NEW_TOKENS = 24
LEAST_MARGIN = 1e-3


def randomise(model, generator):
    """Weights large enough that attention is not uniform, norms away from 1, biases away from 0."""
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=generator)
            if 'norm' in name:
                p.copy_(1 + 0.3 * noise)
            elif name.endswith('.bias'):
                p.copy_(0.3 * noise)
            elif 'embed_tokens' in name:
                p.copy_(noise * (2 / math.sqrt(p.shape[1]) if model.config.tie_word_embeddings else 1.0))
            else:
                gain = 2.0 if ('q_proj' in name or 'k_proj' in name) else 1.3
                p.copy_(noise * gain / math.sqrt(p.shape[1]))


def write_base(folder, spec, generator):
    """A model folder as the hub lays it out."""
    fields = dict(spec['model'])
    config = AutoConfig.for_model(fields.pop('model_type'), **fields)
    with oracle.arithmetic(torch.float32):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    randomise(model, generator)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=0, do_sample=False)
    model = model.to(DTYPES[spec.get('stored', 'float32')])
    model.config.dtype = DTYPES[spec.get('stored', 'float32')]
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    shards = spec.get('shards', 1)
    model.save_pretrained(folder, max_shard_size=size if shards == 1 else int(size * 0.7))
    if spec.get('legacy_config'):
        make_legacy(folder / 'config.json')


def make_legacy(path):
    """config.json as transformers 4 wrote it (most folders on the hub): rope_theta and rope_scaling, torch_dtype."""
    config = json.loads(path.read_text())
    rope = config.pop('rope_parameters')
    config['rope_theta'] = rope.pop('rope_theta')
    config['rope_scaling'] = None if rope['rope_type'] == 'default' else rope
    config['torch_dtype'] = config.pop('dtype')
    config.pop('layer_types', None)
    config['transformers_version'] = '4.45.0'
    write_json(path, dict(sorted(config.items())))


def write_adapter(folder, base, spec, generator):
    """A PEFT folder in which no tensor is zero, so that every gradient is not."""
    with oracle.arithmetic(torch.float32):
        model = get_peft_model(
            oracle.load_base(base, torch.float32), LoraConfig(task_type='CAUSAL_LM', lora_dropout=0.0, bias='none', **spec['adapter'])
        )
        with torch.no_grad():
            for name, p in sorted(oracle.adapter_tensors(model).items()):
                noise = torch.randn(p.shape, generator=generator)
                if name.endswith('lora_A.weight'):
                    p.copy_(noise / math.sqrt(p.shape[1]))
                elif name.endswith('lora_B.weight'):
                    p.copy_(0.3 * noise / math.sqrt(p.shape[1]))
                else:
                    p.mul_(1 + 0.2 * torch.tanh(noise))
        save_peft_folder(model, folder)


def make_batch(spec, generator):
    """Random rows; every second one without a loss on its first third. Labels are not shifted, padding is -100."""
    vocab, lengths, width = spec['model']['vocab_size'], spec['rows'], spec['width']
    first_id = 3 if vocab > 10 else 0
    ids = torch.zeros(len(lengths), width, dtype=torch.int64)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for i, length in enumerate(lengths):
        row = torch.randint(first_id, vocab, (length,), generator=generator)
        row[0] = 1
        ids[i, :length], mask[i, :length], labels[i, :length] = row, 1, row
        if i % 2 and not spec.get('packed') and length > 3:
            labels[i, : length // 3] = -100
        if length > 8:
            labels[i, length // 2] = -100
    return {'input_ids': ids, 'attention_mask': mask, 'labels': labels}


def logit_positions(batch, count, generator):
    """Flat indices n*T + t of the real positions whose logits are kept: all of them, or `count` spread at random."""
    real = batch['attention_mask'].flatten().nonzero().flatten()
    if count is None or len(real) <= count:
        return real
    chosen = torch.randperm(len(real), generator=generator)[:count]
    last = real[-1:]
    return torch.unique(torch.cat([real[chosen], last]))


def evaluate(folder, batch, recipe, dtype):
    """Everything expected.safetensors holds, computed in `dtype`; logits whole."""
    with oracle.arithmetic(dtype):
        out = {'logits.base': oracle.logits(oracle.load_base(folder / 'base', dtype), batch)}
        model = oracle.load_adapted(folder / 'base', folder / 'adapter-init', dtype)
        out['logits.adapter'] = oracle.logits(model, batch)
        record = oracle.train(model, batch, recipe)
        out |= of_record(record, oracle.adapter_tensors(model))
    return out


def check_float64(folder, batch, recipe, expected):
    """How far central differences of the first step's loss are from its gradients."""
    with oracle.arithmetic(torch.float64):
        model = oracle.load_adapted(folder / 'base', folder / 'adapter-init', torch.float64)
        micro = next(oracle.steps_batches(batch, recipe))
        worst = slope_error(oracle.adapter_tensors(model), expected, lambda: oracle.step_losses(model, micro), directions=2)
    if worst > 1e-4:
        raise AssertionError(f'{folder.name}: gradients and central differences differ by {worst:.1e}')
    return worst


def check_separate_rows(folder, batch, recipe, expected):
    """Each row alone and unpadded must give the same loss and gradients as the padded batch."""
    with oracle.arithmetic(torch.float64):
        model = oracle.load_adapted(folder / 'base', folder / 'adapter-init', torch.float64)
        rows = recipe['per_device_train_batch_size'] * recipe['gradient_accumulation_steps']
        items = oracle.label_tokens(batch['labels'][:rows])
        total = 0.0
        for i in range(rows):
            length = int(batch['attention_mask'][i].sum())
            row = {k: v[i : i + 1, :length] for k, v in batch.items()}
            loss = model(**row, num_items_in_batch=items).loss
            loss.backward()
            total += float(loss.detach())
        worst = max(oracle.relative_error(p.grad, expected[f'grad.{n}']) for n, p in oracle.adapter_tensors(model).items())
    if abs(total - float(expected['loss'][0])) > 1e-12 * abs(total) or worst > 1e-11:
        raise AssertionError(f'{folder.name}: rows alone differ from padded rows: {worst:.1e}')


def own_errors(folder, init, expected, batch, recipe):
    """How far torch's own float32 run is from the reference."""
    real = batch['attention_mask'].bool()
    own = evaluate(folder, batch, recipe, torch.float32)
    logits = max(oracle.relative_error(own[k][real], expected[k][real]) for k in ('logits.base', 'logits.adapter'))
    return {'logits': one_digit(logits), **float32_errors(init, expected, own)}


def well_conditioned(result):
    """Whether an f32 engine can be held to the limits: torch's own float32 run is several times nearer than they are.

    Now and then AdamW turns a gradient element that is zero but for rounding into a full step of either sign, or a
    saturated softmax magnifies rounding; such a case says nothing about the engine.
    """
    own = result['float32_error_of_torch']
    return (
        own['logits'] <= 4e-6
        and own['gradient_worst'] <= 4e-5
        and own['gradients_together'] <= 1.2e-5
        and own['adapter_change'] <= 6e-5
        and result['central_difference_error'] <= 1e-7
    )


def write_generation(folder, batch, spec, generator):
    """Greedy continuations that no float32 rounding can change: every top-two margin is checked."""
    vocab = spec['model']['vocab_size']
    with oracle.arithmetic(torch.float64):
        base = oracle.load_base(folder / 'base', torch.float64)
        tuned = oracle.load_adapted(folder / 'base', folder / 'adapter-init', torch.float64)
        for _ in range(500):
            prompt = [1] + torch.randint(3, vocab, (6,), generator=generator).tolist()
            results = [oracle.greedy(m, prompt, NEW_TOKENS, {2}) for m in (base, tuned)]
            if all(margin > 20 * LEAST_MARGIN and len(ids) == NEW_TOKENS and len(set(ids)) > 7 for ids, margin in results):
                if results[0][0] != results[1][0]:
                    break
        else:
            raise AssertionError(f'{folder.name}: no prompt with clear greedy choices found')
        row = torch.tensor([prompt])
        for model, (ids, _) in zip((base, tuned), results, strict=True):
            own = model.generate(
                input_ids=row, attention_mask=torch.ones_like(row), max_new_tokens=NEW_TOKENS, do_sample=False
            )[0, len(prompt) :].tolist()
            if own != ids:
                raise AssertionError(f"{folder.name}: transformers' generate differs from whole-sequence passes")
    generation = {
        'prompt_ids': prompt,
        'max_new_tokens': NEW_TOKENS,
        'base': results[0][0],
        'adapter': results[1][0],
        'least_margin': float(f'{min(m for _, m in results):.2g}'),
    }
    if spec.get('tokenizer'):
        generation |= describe_text(folder, generation)
    write_json(folder / 'generation.json', generation)
    return generation


def write_tokenizer(folder, vocab_size):
    """A tokenizer.json of single characters with a few merges, begin-of-text before every text, and a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    special = ['<pad>', '<s>', '</s>']
    letters = [chr(c) for c in range(ord('a'), ord('z') + 1)] + [chr(c) for c in range(ord('0'), ord('9') + 1)] + list('▁.,!?\'-:')
    pairs = [('t', 'h'), ('th', 'e'), ('a', 'n'), ('an', 'd'), ('i', 'n'), ('o', 'u'), ('e', 'r'), ('▁', 't')]
    pairs += [(a, b) for a in 'slrmnt' for b in 'aeiou'][: vocab_size - len(special) - len(letters) - len(pairs)]
    tokens = special + letters + [a + b for a, b in pairs]
    tokens += [f'<extra_{i}>' for i in range(vocab_size - len(tokens))]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement='▁', prepend_scheme='never')
    tokenizer.decoder = decoders.Metaspace(replacement='▁', prepend_scheme='never')
    tokenizer.post_processor = processors.TemplateProcessing(single='<s> $A', pair='<s> $A $B', special_tokens=[('<s>', 1)])
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / 'tokenizer.json'))
    write_json(
        folder / 'tokenizer_config.json',
        {
            'tokenizer_class': 'PreTrainedTokenizerFast',
            'bos_token': '<s>',
            'eos_token': '</s>',
            'pad_token': '<pad>',
            'clean_up_tokenization_spaces': False,
            'chat_template': "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
        },
    )


def describe_text(folder, generation):
    """The prompt and the continuations as text, where encoding the prompt gives exactly its ids."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / 'base/tokenizer.json'))
    prompt = tokenizer.decode(generation['prompt_ids'])
    if tokenizer.encode(prompt).ids != generation['prompt_ids']:
        raise AssertionError(f'the prompt {prompt!r} does not encode to its own ids')
    return {'prompt': prompt, 'base_text': tokenizer.decode(generation['base']), 'adapter_text': tokenizer.decode(generation['adapter'])}


def build(folder, spec):
    """Writes the whole case folder and returns what case.json holds."""
    folder = Path(folder)
    for part in ('base', 'adapter-init'):
        shutil.rmtree(folder / part, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(spec['seed'])
    recipe = {**RECIPE, **spec.get('recipe', {})}

    write_base(folder / 'base', spec, generator)
    if spec.get('tokenizer'):
        write_tokenizer(folder / 'base', spec['model']['vocab_size'])
    write_adapter(folder / 'adapter-init', folder / 'base', spec, generator)
    batch = make_batch(spec, generator)
    save_file(batch, folder / 'batch.safetensors', metadata={'format': 'pt'})
    write_job(folder, 'voice', 'base', recipe)
    if spec.get('packed'):
        rows = []
        for i, length in enumerate(spec['rows']):
            rows.append({'input_ids': batch['input_ids'][i, :length].tolist(), 'labels': batch['labels'][i, :length].tolist()})
        (folder / 'packed.json').write_text('{"rows": [\n' + ',\n'.join(json.dumps(r) for r in rows) + '\n]}\n')

    expected = evaluate(folder, batch, recipe, torch.float64)
    check_finite(folder.name, expected)
    check_gradients(folder.name, expected)
    slope = check_float64(folder, batch, recipe, expected)
    if spec.get('packed'):
        check_separate_rows(folder, batch, recipe, expected)

    init = load_file(folder / 'adapter-init/adapter_model.safetensors')
    positions = logit_positions(batch, spec.get('logit_positions'), generator)
    stored = {'logits.positions': positions}
    for key, value in expected.items():
        if key.startswith('logits.'):
            value = value.flatten(0, 1)[positions]
        stored[key] = (value if value.dim() == 1 and '.' not in key else value.float()).contiguous()
    save_file(stored, folder / 'expected.safetensors')

    about = {
        'about': spec['about'],
        'model_type': spec['model']['model_type'],
        'float32_error_of_torch': own_errors(folder, init, expected, batch, recipe),
    }
    if spec.get('generate'):
        write_generation(folder, batch, spec, generator)
    write_json(folder / 'case.json', about)
    return told(folder, about, expected, slope)
