"""Loads an adapter folder exported by us with real peft, and checks that it behaves there as it does here.

  interop.py --model FOLDER --adapter FOLDER [--inputs FILE --logits FILE] [--generated FILE (--prompt TEXT | --prompt-ids FILE)]

--inputs holds input_ids and attention_mask, --logits our `run --component model --adapter` output; --generated is our
generated.json of a greedy `generate` with the adapter, --prompt-ids a JSON file with `prompt_ids`. Where two choices of
a greedy step are nearer than float32 can tell apart, ids are compared up to there and `near_tie_at` says so.
Prints one JSON line; exit status 1 where something does not agree.
"""

import argparse
import json
import sys
from pathlib import Path

import oracle
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tokenizers import Tokenizer

TOLERANCE = 1e-4
NEAR_TIE = 1e-4


def check_logits(model, inputs, logits):
    """Relative error over the positions that are not padding."""
    batch, ours = load_file(inputs), load_file(logits)['logits']
    real = batch['attention_mask'].bool()
    theirs = oracle.logits(model, batch)
    if ours.shape != theirs.shape:
        return {'logits_error': None, 'logits_shape': list(ours.shape), 'logits_agree': False}
    error = oracle.relative_error(ours[real], theirs[real])
    return {'logits_error': error, 'logits_agree': error <= TOLERANCE}


def check_generation(model, generated, prompt_ids):
    """Token for token against greedy search, end-of-text included."""
    wanted = json.loads(Path(generated).read_text())['token_ids']
    row = torch.tensor([prompt_ids])
    out = model.generate(
        input_ids=row, attention_mask=torch.ones_like(row), max_new_tokens=max(1, len(wanted)), do_sample=False,
        return_dict_in_generate=True, output_logits=True,
    )
    theirs = out.sequences[0, len(prompt_ids) :].tolist()
    for at, step in enumerate(out.logits):
        top = torch.topk(step[0], 2).values
        if float(top[0] - top[1]) < NEAR_TIE and theirs[at : at + 1] != wanted[at : at + 1]:
            return {'tokens': len(wanted), 'near_tie_at': at, 'tokens_agree': at > 0 and theirs[:at] == wanted[:at]}
    stops = model.generation_config.eos_token_id
    stops = set(stops) if isinstance(stops, list) else {stops}
    without_stop = theirs[:-1] if theirs and theirs[-1] in stops else theirs
    return {'tokens': len(wanted), 'tokens_agree': len(wanted) > 0 and wanted in (theirs, without_stop)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', required=True, type=Path)
    parser.add_argument('--adapter', required=True, type=Path)
    parser.add_argument('--inputs', type=Path)
    parser.add_argument('--logits', type=Path)
    parser.add_argument('--generated', type=Path)
    parser.add_argument('--prompt')
    parser.add_argument('--prompt-ids', type=Path)
    arguments = parser.parse_args()
    if bool(arguments.inputs) != bool(arguments.logits):
        parser.error('--inputs and --logits go together')
    if arguments.generated and (arguments.prompt is None) == (arguments.prompt_ids is None):
        parser.error('--generated needs either --prompt or --prompt-ids')

    with oracle.arithmetic(torch.float32):
        base = oracle.load_base(arguments.model, torch.float32)
        model = PeftModel.from_pretrained(base, str(arguments.adapter), local_files_only=True).eval()
        stored = load_file(arguments.adapter / 'adapter_model.safetensors')
        loaded = {oracle.file_name(n): p for n, p in model.named_parameters() if '.lora_' in n}
        missing = sorted(set(stored) ^ set(loaded)) + [n for n in loaded if n in stored and not torch.equal(loaded[n], stored[n].float())]
        result = {'peft_tensors': len(loaded), 'peft_loads': not missing and len(loaded) > 0, 'differing': missing[:3]}
        if arguments.logits:
            result |= check_logits(model, arguments.inputs, arguments.logits)
        if arguments.generated:
            if arguments.prompt_ids:
                ids = json.loads(arguments.prompt_ids.read_text())['prompt_ids']
            else:
                ids = Tokenizer.from_file(str(arguments.model / 'tokenizer.json')).encode(arguments.prompt).ids
            result |= check_generation(model, arguments.generated, ids)
    print(json.dumps(result))
    checks = ('peft_loads', 'logits_agree', 'tokens_agree')
    sys.exit(0 if all(result.get(c, True) for c in checks) else 1)


if __name__ == '__main__':
    main()
