import { describe, expect, it } from 'vitest';
import { sniffPicture } from '../../../src/datasets/look/sniff.ts';
import { paint, png, scene, sourceFile, take } from '../../support/pictures.ts';

describe('files beside pictures', () => {
  const picture = (seed: number) => png(paint(64, 64, scene(seed)));

  it('give captions: a text each, JSON Lines, JSON, CSV, and kohya’s folders', async () => {
    const files = [
      sourceFile('set/10_sks dog/one.png', await picture(1)),
      sourceFile('set/10_sks dog/one.txt', 'sks dog on grass,\n in the sun \n'),
      sourceFile('set/10_sks dog/two.png', await picture(2)),
      sourceFile('set/lines/three.png', await picture(3)),
      sourceFile('set/lines/metadata.jsonl', '{"file_name": "three.png", "text": "three lines"}\n'),
      sourceFile('set/json/four.png', await picture(4)),
      sourceFile('set/json/captions.json', '{"four": {"caption": "by kohya"}, "none.png": "x"}'),
      sourceFile('set/csv/five.png', await picture(5)),
      sourceFile('set/csv/metadata.csv', 'file_name,text\nfive.png,"a cat, asleep"\n'),
    ];
    const { rows, report } = await take(files);
    expect(rows.map(({ file, caption, captionByHand, repeats }) => [file, caption, captionByHand, repeats])).toEqual([
      ['one.png', 'sks dog on grass, in the sun', true, 10],
      ['two.png', 'sks dog', false, 10],
      ['three.png', 'three lines', true, 1],
      ['four.png', 'by kohya', true, 1],
      ['five.png', 'a cat, asleep', true, 1],
    ]);
    expect(report.leftOut).toEqual([]);
    expect(report.files.filter(({ kind }) => kind === 'captions').length).toBe(4);
  });

  it('have captions that are read by their mark, or refused by name', async () => {
    const said = 'café, été';
    const utf16 = (big: boolean): Uint8Array<ArrayBuffer> => {
      const bytes = new Uint8Array(2 + 2 * said.length);
      const view = new DataView(bytes.buffer);
      [0xfeff, ...Array.from(said, (letter) => letter.charCodeAt(0))].forEach((code, i) =>
        view.setUint16(2 * i, code, !big),
      );
      return bytes;
    };
    const oldLetters = (...bytes: number[]): Uint8Array<ArrayBuffer> => Uint8Array.from(bytes);
    const { rows, report } = await take([
      sourceFile('set/le.png', await picture(1)),
      sourceFile('set/le.txt', utf16(false)),
      sourceFile('set/be.png', await picture(2)),
      sourceFile('set/be.txt', utf16(true)),
      sourceFile('set/latin.png', await picture(3)),
      sourceFile('set/latin.txt', oldLetters(99, 97, 102, 0xe9)),
      sourceFile('set/gbk.png', await picture(4)),
      sourceFile('set/gbk.caption', oldLetters(0xb9, 0xb7, 0xd4, 0xda)),
      sourceFile('set/list.png', await picture(5)),
      sourceFile('set/metadata.csv', oldLetters(0x93, 0xfa, 0x96, 0x7b)),
    ]);
    expect(rows.map(({ caption }) => caption)).toEqual([said, said, '', '', '']);
    expect(report.leftOut.map(({ file, reason }) => [file, reason])).toEqual([
      ['set/latin.txt', 'not readable here'],
      ['set/gbk.caption', 'not readable here'],
      ['set/metadata.csv', 'not readable here'],
    ]);
    for (const { file, message } of report.leftOut) expect(message).toContain(`“${file}” is not UTF-8 text (line 1)`);
  });

  it('are found where a name is composed and the other is not, and caches are passed over', async () => {
    const [composed, parts] = ['café', 'café'.normalize('NFD')];
    expect(parts).not.toBe(composed);
    const { rows, report } = await take([
      sourceFile(`${composed}.png`, await picture(1)),
      sourceFile(`${parts}.txt`, 'a cup'),
      sourceFile(`b/${parts}.png`, await picture(2)),
      sourceFile('b/metadata.jsonl', JSON.stringify({ file_name: `${composed}.png`, text: 'two cups' })),
      sourceFile('b/x.npz', Uint8Array.of(0x50, 0x4b, 3, 4)),
      sourceFile('b/Thumbs.db', Uint8Array.of(1, 2, 3)),
    ]);
    expect(rows.map(({ caption }) => caption)).toEqual(['a cup', 'two cups']);
    expect(report.leftOut).toEqual([]);
    expect(report.files.filter(({ kind }) => kind === 'cache').map(({ name }) => name)).toEqual([
      'b/x.npz',
      'b/Thumbs.db',
    ]);
  });

  it('say what is wrong with captions that fit nothing', async () => {
    const { report } = await take([
      sourceFile('a.png', await picture(1)),
      sourceFile('readme.txt', 'hello'),
      sourceFile('broken.json', '{"a": '),
      sourceFile('other.jsonl', '{"x": 1}\n'),
    ]);
    expect(report.leftOut.map(({ file, reason }) => [file, reason])).toEqual([
      ['broken.json', 'captions of no picture'],
      ['other.jsonl', 'captions of no picture'],
      ['readme.txt', 'captions of no picture'],
    ]);
    expect(report.leftOut[0]!.message).toMatch(/not valid JSON/);
  });

  it('give masks, unless they are black all over', async () => {
    const masks = new Map<string, Uint8Array<ArrayBuffer> | null>();
    const white = await png(paint(64, 64, (x) => (x < 0.5 ? [255, 255, 255] : [0, 0, 0])));
    const black = await png(paint(64, 64, () => [0, 0, 0]));
    const { rows, report } = await take(
      [
        sourceFile('one.png', await picture(1)),
        sourceFile('one-masklabel.png', white),
        sourceFile('two.png', await picture(2)),
        sourceFile('mask/two.png', white),
        sourceFile('three.png', await picture(3)),
        sourceFile('three_mask.png', black),
        sourceFile('four_mask.png', await picture(4)),
      ],
      { keep: (row, { mask }) => void masks.set(row.file, mask) },
    );
    expect(rows.map(({ file, masked }) => [file, masked])).toEqual([
      ['one.png', true],
      ['two.png', true],
      ['three.png', false],
      ['four_mask.png', false],
    ]);
    expect(masks.get('three.png')).toBeNull();
    expect(sniffPicture(masks.get('one.png')!).info).toMatchObject({ kind: 'png', width: 64 });
    expect(report.files.find(({ name }) => name === 'three_mask.png')?.warnings).toEqual([
      expect.stringMatching(/black all over/),
    ]);
  });
});
