import type { OnnxModelOptions } from '../datasets/transformers-js.ts';
import type { NamedFile } from '../common/named-file.ts';

/** A model of the hub by its name, which is fetched, or the files of a folder of the person's own. */
export type OnnxModelSource = { hub: string } | { files: readonly NamedFile[] };

/** The model and where it runs, as `openCaptioner` and `openTagger` want it. The runtime's addresses are loaded here. */
export async function onnxModel(
  source: OnnxModelSource,
  onProgress: (fraction: number) => void,
): Promise<OnnxModelOptions> {
  const { ortRuntime: runtime } = await import('../datasets/ort-runtime.ts');
  if ('hub' in source) return { model: source, runtime, onProgress };
  const files = new Map(source.files.map(({ name, file }) => [name, file]));
  const folder = {
    files: [...files.keys()],
    async read(path: string): Promise<Uint8Array<ArrayBuffer>> {
      return new Uint8Array((await files.get(path)?.arrayBuffer()) ?? new ArrayBuffer(0));
    },
  };
  return { model: { folder }, runtime, onProgress };
}
