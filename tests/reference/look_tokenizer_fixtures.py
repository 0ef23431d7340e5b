"""Writes tests/fixtures/tokenizers/clip: a small vocabulary in CLIP's form (OpenAI's byte alphabet, end-of-word marks, bytes in
their order, merges learnt from a few sentences), and the ids that transformers' CLIPTokenizer gives for it, padded with the
end token as Stable Diffusion 1.5 does and with "!" as SDXL's second tokenizer does.

    python tests/reference/look_tokenizer_fixtures.py
"""

import json
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer

FOLDER = Path(__file__).resolve().parent.parent / 'fixtures' / 'tokenizers' / 'clip'
SENTENCES = """a photo of a small red dog in the snow|an oil painting of the old castle by night|it's a cat's portrait, close-up
a photo of sks person wearing a green hat|two birds in a blue tree|the dog's ball didn't bounce|highly detailed, 4k, sharp focus
watercolor of a cartoon creature with three horns|statue of a horse in the garden|we'll see what they've drawn""".replace('\n', '|')
PROBES = [
    '', ' ', 'a photo of a dog', 'A PHOTO of a Dog', '  many   spaces\t\nhere ', "it's John's; we'll see, they've DON'T I'D you're",
    '1234567890 3.14 4k', 'naïve CAFÉ résumé', 'e\u0301 o\u0308 I\u0307', 'İstanbul ẞ ß ΣΑΣ ﬁ', '日本語のテキスト', 'مرحبا', 'हिन्दी',
    '😀 👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈', '\u00a0nbsp\u3000wide\u2028line\u0085nel', '\ufeffbom\ufeff', '\u200bzero\u200d', '\x00nul\x1c\x07',
    'a!b !! hello!', '(masterpiece:1.2), [x|y] {z}', 'a_b-c*d/e\\f', '<|endoftext|> x', 'x<|startoftext|>y', '<|STARTOFTEXT|>', '<|EndOfText|>',
    '<|endoftext', "'", "''s", "'S 'LL", '½ Ⅷ ² ١٢', '\ufffd', 'a' * 90, 'dog ' * 90, 'photo, ' * 50, 'ǅ ŉ',
]


def train(count):
    """Merges of the most frequent pairs, as in Sennrich et al.; ties by text."""
    alphabet = byte_alphabet()
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = Counter()
    for sentence in SENTENCES.split('|'):
        for word, _ in splitter.pre_tokenize_str(sentence):
            letters = [c for c in word if c != 'Ġ']
            if letters:
                words[tuple(letters[:-1] + [letters[-1] + '</w>'])] += 1
    merges = []
    for _ in range(count):
        pairs = Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        words = Counter({merged(word, best): n for word, n in words.items()})
    vocab = [*alphabet, *(c + '</w>' for c in alphabet), *(a + b for a, b in merges), '<|startoftext|>', '<|endoftext|>']
    assert len(alphabet) == 256 and len(set(vocab)) == len(vocab)
    return {token: i for i, token in enumerate(vocab)}, merges


def merged(word, pair):
    out = []
    for part in word:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return tuple(out)


def byte_alphabet():
    printable = [*range(ord('!'), ord('~') + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def probes():
    rng = random.Random(5)
    letters = list("abc dog photo XYZ  \n\t.,!?'012éüß漢字かな한😀🎉—“…\u200d\u0301<|>")
    return PROBES + [''.join(rng.choice(letters) for _ in range(rng.randint(1, 40))) for _ in range(100)]


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    vocab, merges = train(220)
    (FOLDER / 'vocab.json').write_text(json.dumps(vocab, ensure_ascii=False, separators=(',', ':')))
    (FOLDER / 'merges.txt').write_text('#version: 0.2\n' + ''.join(f'{a} {b}\n' for a, b in merges))
    token = {'__type': 'AddedToken', 'content': '', 'lstrip': False, 'normalized': True, 'rstrip': False, 'single_word': False}
    named = {'bos_token': {**token, 'content': '<|startoftext|>'}, 'eos_token': {**token, 'content': '<|endoftext|>'},
             'unk_token': {**token, 'content': '<|endoftext|>'}}
    expected = {}
    for pad in ('<|endoftext|>', '!'):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            for name in ('vocab.json', 'merges.txt'):
                shutil.copy(FOLDER / name, folder / name)
            config = {**named, 'pad_token': pad, 'model_max_length': 24, 'do_lower_case': True, 'tokenizer_class': 'CLIPTokenizer'}
            (folder / 'tokenizer_config.json').write_text(json.dumps(config))
            tokenizer = CLIPTokenizer.from_pretrained(folder)
            expected[pad] = {'config': config, 'rows': [row(tokenizer, text) for text in probes()]}
    (FOLDER / 'expected.json').write_text(json.dumps(expected, separators=(',', ':')) + '\n')
    print(FOLDER, sum(f.stat().st_size for f in FOLDER.iterdir()))


def row(tokenizer, text):
    padded = tokenizer(text, padding='max_length', max_length=tokenizer.model_max_length, truncation=True).input_ids
    ids = tokenizer(text).input_ids
    return {'text': text, 'padded': padded, 'ids': ids, 'decoded': tokenizer.decode(ids)}


if __name__ == '__main__':
    main()
