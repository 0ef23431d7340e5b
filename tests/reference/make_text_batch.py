"""Tokenises a text file into prepared batch files of equal rows.

  make_text_batch.py --tokenizer MODEL_FOLDER --text FILE --rows 64 --tokens 128 --out train.safetensors
                     [--heldout-rows 16 --heldout heldout.safetensors] [--skip-chars N] [--max-chars N]

The text is encoded once and cut into rows of T tokens, each beginning with the begin-of-text token the tokenizer puts
before a text, if any; every token carries its label. Held-out rows are the ones after the training rows.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer


def encode_rows(folder, text, count, width):
    """count rows of width ids from the beginning of the text."""
    tokenizer = Tokenizer.from_file(str(Path(folder) / 'tokenizer.json'))
    prefix = [i for i in tokenizer.encode('').ids]
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    body = width - len(prefix)
    if len(ids) < count * body:
        sys.exit(f'The text has {len(ids)} tokens; {count} rows of {width} need {count * body}.')
    return [prefix + ids[i * body : (i + 1) * body] for i in range(count)]


def write_rows(path, rows):
    ids = torch.tensor(rows, dtype=torch.int64)
    save_file({'input_ids': ids, 'attention_mask': torch.ones_like(ids), 'labels': ids.clone()}, path, metadata={'format': 'pt'})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--tokenizer', required=True, type=Path)
    parser.add_argument('--text', required=True, type=Path)
    parser.add_argument('--rows', type=int, default=64)
    parser.add_argument('--tokens', type=int, default=128)
    parser.add_argument('--out', required=True, type=Path)
    parser.add_argument('--heldout-rows', type=int, default=0)
    parser.add_argument('--heldout', type=Path)
    parser.add_argument('--skip-chars', type=int, default=0, help='leave out the beginning, such as a licence')
    parser.add_argument('--max-chars', type=int)
    arguments = parser.parse_args()
    if bool(arguments.heldout) != bool(arguments.heldout_rows):
        parser.error('--heldout and --heldout-rows go together')
    text = arguments.text.read_text(encoding='utf-8-sig', errors='replace')[arguments.skip_chars :][: arguments.max_chars]
    rows = encode_rows(arguments.tokenizer, text, arguments.rows + arguments.heldout_rows, arguments.tokens)
    write_rows(arguments.out, rows[: arguments.rows])
    if arguments.heldout:
        write_rows(arguments.heldout, rows[arguments.rows :])
    print(json.dumps({'rows': arguments.rows, 'heldout_rows': arguments.heldout_rows, 'tokens': arguments.tokens}))


if __name__ == '__main__':
    main()
