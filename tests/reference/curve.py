"""Trains the LoRA of a headless job with real transformers and peft, for its loss curve to be laid beside ours.

  curve.py JOB.json [--heldout FILE] [--every N] [--save FOLDER] [--float64] [--metrics FILE]
  curve.py JOB.json --init FOLDER          only writes an initial adapter (B zero, as peft makes it) with the seed of
                                           the recipe and the job's r, lora_alpha and target_modules; then set
                                           `adapter.from` to it in the job so that both trainers start from it
  curve.py JOB.json --heldout FILE --evaluate FOLDER
                                           only the held-out loss of the base with that adapter (one of ours, say)

Prints JSON lines: {"step", "loss", "grad_norm", "learning_rate"} and, every N steps, at step 0 and at the end,
{"step", "heldout_loss"}; with --metrics (our runner's metrics.jsonl) at last
{"steps", "loss_error"}, the relative difference of the two loss curves in norm. The job's data and FILE are prepared batch files; one thread, float32 unless told otherwise.
"""

import argparse
import json
from pathlib import Path

import oracle
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file

from cases import RECIPE


def tell(**line):
    print(json.dumps(line), flush=True)


def write_initial(job_path, folder):
    """peft's own initialisation, saved as a folder."""
    job = json.loads(Path(job_path).read_text())
    base = Path(job_path).parent / job['base']
    settings = {k: v for k, v in job['adapter'].items() if k != 'from'}
    torch.manual_seed(job['recipe'].get('seed', 0))
    with oracle.arithmetic(torch.float32):
        model = get_peft_model(oracle.load_base(base, torch.float32), LoraConfig(task_type='CAUSAL_LM', **settings))
        model.peft_config['default'].base_model_name_or_path = 'base'
        model.save_pretrained(folder, save_embedding_layers=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('job', type=Path)
    parser.add_argument('--heldout', type=Path)
    parser.add_argument('--every', type=int, default=10)
    parser.add_argument('--save', type=Path)
    parser.add_argument('--evaluate', type=Path)
    parser.add_argument('--init', type=Path)
    parser.add_argument('--metrics', type=Path)
    parser.add_argument('--float64', action='store_true')
    arguments = parser.parse_args()
    if arguments.init:
        write_initial(arguments.job, arguments.init)
        return
    job = oracle.read_job(arguments.job)
    dtype = torch.float64 if arguments.float64 else torch.float32
    heldout = load_file(arguments.heldout) if arguments.heldout else None
    with oracle.arithmetic(dtype):
        if arguments.evaluate:
            if heldout is None:
                parser.error('--evaluate needs --heldout')
            model = oracle.load_adapted(job['base'], arguments.evaluate, dtype)
            tell(adapter=arguments.evaluate.name, heldout_loss=oracle.mean_loss(model, heldout))
            return
        recipe = {**RECIPE, **job['recipe']}
        model = oracle.load_adapted(job['base'], job['adapter']['from'], dtype)

        def evaluate(step):
            if heldout is not None:
                tell(step=step, heldout_loss=oracle.mean_loss(model, heldout))

        def on_step(step, record):
            tell(step=step, **{k: record[k][-1] for k in ('loss', 'grad_norm', 'learning_rate')})
            if step % arguments.every == 0 or step == recipe['max_steps']:
                evaluate(step)

        evaluate(0)
        record = oracle.train(model, load_file(job['data']), recipe, on_step)
        if arguments.metrics:
            lines = [json.loads(line) for line in arguments.metrics.read_text().splitlines() if line.strip()]
            ours = torch.tensor([line['loss'] for line in lines], dtype=torch.float64)
            theirs = torch.tensor(record['loss'], dtype=torch.float64)
            if len(ours) != len(theirs):
                parser.error(f'{arguments.metrics} has {len(ours)} steps, the job {len(theirs)}')
            tell(steps=len(ours), loss_error=oracle.relative_error(ours, theirs))
        if arguments.save:
            model.save_pretrained(arguments.save, save_embedding_layers=False)


if __name__ == '__main__':
    main()
