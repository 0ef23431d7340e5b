/** Sounds in Node: files and folders of a disk, for the import and for training. */
import { statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { soundSource } from '../../datasets/sound/clips.ts';
import { clipToLine, importSounds } from '../../datasets/sound/import-sounds.ts';
import type { SoundInput, SoundReport, SoundSource } from '../../datasets/sound/types.ts';
import { UserError } from '../../common/errors.ts';
import { filesUnder } from '../files.ts';
import type { Files } from '../kind.ts';

/** A file of the disk; it is only open while it is read from. */
export function soundFileInput(path: string, name = basename(path)): SoundInput {
  return {
    name,
    size: statSync(path).size,
    async read(start, end) {
      const file = await open(path);
      try {
        const bytes = new Uint8Array(end - start);
        let done = 0;
        while (done < bytes.length) {
          const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
          if (bytesRead === 0) throw new UserError(`${path} ends too early.`);
          done += bytesRead;
        }
        return bytes;
      } finally {
        await file.close();
      }
    },
  };
}

/** Files and folders, as the import of sounds takes them. */
export function soundInputs(paths: readonly string[]): SoundInput[] {
  return filesUnder(paths).map(({ path, name }) => soundFileInput(path, name));
}

/** What dropping these files on the page gives: the report, and clips.jsonl of the clips that are kept. */
export async function importSoundFiles(paths: readonly string[]): Promise<{ report: SoundReport; files: Files }> {
  const { clips, report } = await importSounds(soundInputs(paths));
  const kept = clips.filter((clip) => clip.kept);
  return { report, files: [['clips.jsonl', kept.map((clip) => `${clipToLine(clip)}\n`).join('')]] };
}

/**
 * The clips of files and folders, cut and judged as dropping them on the page does, for training; samples are read from the
 * disk when they are asked for.
 * @throws SoundImportError where there is no sound in them.
 */
export async function soundsOf(paths: readonly string[]): Promise<SoundSource[]> {
  const inputs = new Map<string, SoundInput>();
  const { clips } = await importSounds(soundInputs(paths), { keep: ({ id }, input) => void inputs.set(id, input) });
  return Promise.all(
    clips.filter((clip) => clip.kept).map((clip) => soundSource(clip, () => inputs.get(clip.fileId)!)),
  );
}
