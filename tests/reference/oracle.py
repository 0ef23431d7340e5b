"""The reference: transformers and peft run in true float64 (or in their own float32 for comparison).

Everything here calls the real libraries; the only thing of ours is the optimiser loop around them, which does what
transformers' Trainer does (loss over all label tokens of the step, clip_grad_norm_, AdamW, a LambdaLR schedule).
"""

import contextlib
import json
import logging
import os
import warnings
from pathlib import Path

os.environ.setdefault('HF_HUB_OFFLINE', '1')
os.environ.setdefault('TRANSFORMERS_VERBOSITY', 'error')
os.environ.setdefault('HF_HUB_DISABLE_PROGRESS_BARS', '1')

import torch
from torch.overrides import TorchFunctionMode

torch.set_num_threads(1)
warnings.filterwarnings('ignore', message='.*(Could not find a config file|tie_word_embeddings).*')

from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, get_scheduler
from transformers.utils import logging as transformers_logging

transformers_logging.disable_progress_bar()
logging.getLogger('peft').setLevel(logging.ERROR)


class Float64Mode(TorchFunctionMode):
    """Turns every request for float32 into one for float64.

    transformers casts to float32 inside RMSNorm, softmax, the rotary tables and the loss even when the model is
    float64; without this the "float64" result carries float32 rounding.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        if func in (torch.Tensor.view, torch.frombuffer):  # these reinterpret bytes (safetensors reads files so)
            return func(*args, **(kwargs or {}))
        args = tuple(torch.float64 if a is torch.float32 else a for a in args)
        kwargs = {k: torch.float64 if v is torch.float32 else v for k, v in (kwargs or {}).items()}
        return func(*args, **kwargs)


@contextlib.contextmanager
def arithmetic(dtype):
    """All floating-point work inside runs in `dtype` (torch.float64 or torch.float32)."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with Float64Mode() if dtype == torch.float64 else contextlib.nullcontext():
            yield
    finally:
        torch.set_default_dtype(before)


def read_weights(folder):
    """All tensors of a model folder, sharded or not, as stored."""
    tensors = {}
    for path in sorted(Path(folder).glob('*.safetensors')):
        tensors.update(load_file(path))
    return tensors


def load_base(folder, dtype):
    """The model folder as a transformers model whose every parameter and buffer is `dtype`. Call inside arithmetic()."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation='eager', local_files_only=True)
    stored = read_weights(folder)
    for name, parameter in model.named_parameters():
        if parameter.dtype != dtype:
            raise AssertionError(f'{name} is {parameter.dtype}, not {dtype}')
        if name in stored and not torch.equal(parameter.detach(), stored[name].to(dtype)):
            raise AssertionError(f'{name} is not what the file holds')
    for name, buffer in model.named_buffers():
        if buffer.is_floating_point() and buffer.dtype != dtype:
            raise AssertionError(f'buffer {name} is {buffer.dtype}, not {dtype}')
    return model.eval()


def adapted(base, adapter, dtype):
    """A model with a PEFT adapter folder on it, its tensors trainable."""
    model = PeftModel.from_pretrained(base, str(adapter), is_trainable=True, local_files_only=True)
    stored = load_file(Path(adapter) / 'adapter_model.safetensors')
    tensors = adapter_tensors(model)
    if set(tensors) != set(stored):
        raise AssertionError(f'adapter names differ: {sorted(set(tensors) ^ set(stored))[:4]}')
    for name, parameter in tensors.items():
        if parameter.dtype != dtype or not torch.equal(parameter.detach(), stored[name].to(dtype)):
            raise AssertionError(f'adapter tensor {name} is not what the file holds')
    return model.eval()


def load_adapted(folder, adapter, dtype):
    """The model folder with a PEFT adapter folder on it."""
    return adapted(load_base(folder, dtype), adapter, dtype)


def file_name(parameter_name):
    """A PEFT parameter's name as its adapter file has it: without the adapter's own name."""
    name = parameter_name.replace('.default', '')
    return name.removesuffix('.weight') if '.lora_magnitude_vector' in name else name


def adapter_tensors(model):
    """Name in the adapter file -> trainable parameter, in name order."""
    return {file_name(n): p for n, p in sorted(model.named_parameters()) if p.requires_grad}


def label_tokens(labels):
    """How many tokens carry a loss: counted after the shift, so position 0 never does."""
    return int((labels[:, 1:] != -100).sum())


def row_batches(batch, size):
    """Endless batches of `size` rows in file order; one that reaches the end goes on with the first row."""
    rows = len(next(iter(batch.values())))
    start = 0
    while True:
        index = torch.tensor([(start + i) % rows for i in range(size)])
        start = (start + size) % rows
        yield {k: v[index] for k, v in batch.items()}


def steps_batches(batch, recipe):
    """The batches of each step in turn, endlessly: as many as are accumulated."""
    batches = row_batches(batch, recipe['per_device_train_batch_size'])
    while True:
        yield [next(batches) for _ in range(recipe['gradient_accumulation_steps'])]


def trim(batch):
    """Drops columns that are padding in every row (they change nothing)."""
    width = int(batch['attention_mask'].sum(1).max())
    return {k: v[:, :width] for k, v in batch.items()}


def logits(model, batch):
    """[N,T,V] logits of the whole batch."""
    with torch.no_grad():
        return model(input_ids=batch['input_ids'], attention_mask=batch['attention_mask']).logits


def mean_loss(model, batch, rows=8):
    """The mean cross-entropy over all label tokens of a batch file, a float."""
    total = 0.0
    with torch.no_grad():
        for at in range(0, batch['input_ids'].shape[0], rows):
            part = trim({k: v[at : at + rows] for k, v in batch.items()})
            total += float(model(**part, num_items_in_batch=1).loss)
    return total / label_tokens(batch['labels'])


def step_losses(model, micro_batches):
    """The loss of one optimiser step, a list of scalars to be summed: one a micro-batch."""
    items = sum(label_tokens(m['labels']) for m in micro_batches)
    for micro in micro_batches:
        yield model(**micro, num_items_in_batch=items).loss


def optimise(tensors, groups, batch, recipe, losses, on_step=None):
    """Runs the recipe (HEADLESS job's `recipe`) on a prepared batch, rows in file order.

    `tensors` are trained, by name; `groups` of them with their rates; `losses` gives a step's losses from its batches, to be
    summed. Returns loss, grad_norm and learning_rate by step and the first step's gradients before clipping.
    """
    optimizer = torch.optim.AdamW(
        groups,
        betas=(recipe['adam_beta1'], recipe['adam_beta2']),
        eps=recipe['adam_epsilon'],
        weight_decay=recipe['weight_decay'],
    )
    scheduler = get_scheduler(
        recipe['lr_scheduler_type'],
        optimizer,
        num_warmup_steps=recipe['warmup_steps'],
        num_training_steps=recipe['max_steps'],
    )
    record = {'loss': [], 'grad_norm': [], 'learning_rate': [], 'gradients': {}}
    for step, micro_batches in zip(range(recipe['max_steps']), steps_batches(batch, recipe)):
        total = 0.0
        for loss in losses(micro_batches):
            loss.backward()
            total += float(loss.detach())
        if step == 0:
            # SDXL's first text encoder is heard before its last layer, which so has no gradient at all.
            record['gradients'] = {n: torch.zeros_like(p) if p.grad is None else p.grad.detach().clone() for n, p in tensors.items()}
        norm = torch.nn.utils.clip_grad_norm_(list(tensors.values()), recipe['max_grad_norm'])
        record['loss'].append(total)
        record['grad_norm'].append(float(norm))
        record['learning_rate'].append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        if on_step:
            on_step(step + 1, record)
    return record


def optimise_model(model, batch, recipe, losses, on_step=None):
    """The same for a peft model, all of it at one rate."""
    tensors = adapter_tensors(model)
    groups = [{'params': list(tensors.values()), 'lr': recipe['learning_rate']}]
    return optimise(tensors, groups, batch, recipe, lambda micro: losses(model, micro), on_step)


def train(model, batch, recipe, on_step=None):
    return optimise_model(model, batch, recipe, step_losses, on_step)


def greedy(model, prompt, steps, eos):
    """Greedy continuation by whole-sequence passes (no cache): token ids and the smallest top-two margin met."""
    ids, new, margin = list(prompt), [], float('inf')
    for _ in range(steps):
        row = torch.tensor([ids])
        with torch.no_grad():
            last = model(input_ids=row, attention_mask=torch.ones_like(row)).logits[0, -1]
        top = torch.topk(last, 2)
        margin = min(margin, float(top.values[0] - top.values[1]))
        token = int(top.indices[0])
        ids.append(token)
        new.append(token)
        if token in eos:
            break
    return new, margin


def read_job(path):
    """A headless job with its paths made absolute."""
    path = Path(path)
    job = json.loads(path.read_text())
    job['base'] = str(path.parent / job['base'])
    job['data'] = str(path.parent / job['data'])
    job['adapter']['from'] = str(path.parent / job['adapter']['from'])
    return job


def relative_error(value, reference):
    """Norm of the difference over norm of the reference, in float64."""
    value, reference = value.double().flatten(), reference.double().flatten()
    size = float(reference.norm())
    difference = float((value - reference).norm())
    return difference / size if size > 0 else (0.0 if difference == 0 else float('inf'))


def joint_relative_error(values, references):
    """The same over all tensors of a dictionary taken as one vector."""
    names = sorted(references)
    return relative_error(
        torch.cat([values[n].double().flatten() for n in names]), torch.cat([references[n].double().flatten() for n in names])
    )
