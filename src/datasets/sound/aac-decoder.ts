/** AAC-LC in one or two channels, decoded by Symphonia in WebAssembly: for Node, and browsers that have no decoder of AAC. */
import { UserError } from '../../common/errors.ts';

interface Exports {
  memory: WebAssembly.Memory;
  stream_new(): number;
  stream_input(stream: number, size: number): number;
  stream_configure(stream: number): number;
  stream_decode(stream: number): number;
  stream_output(stream: number): number;
  stream_channels(stream: number): number;
  stream_rate(stream: number): number;
  stream_free(stream: number): void;
}

let compiled: Promise<WebAssembly.Module> | null = null;

async function compile(): Promise<WebAssembly.Module> {
  const { AAC_WASM } = await import('./aac-wasm.ts');
  const packed = Uint8Array.from(atob(AAC_WASM), (letter) => letter.charCodeAt(0));
  const wasm = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
  return WebAssembly.compile(await new Response(wasm).arrayBuffer());
}

export class AacDecoder {
  readonly #wasm: Exports;
  readonly #stream: number;

  private constructor(wasm: Exports) {
    this.#wasm = wasm;
    this.#stream = wasm.stream_new();
  }

  /**
   * @param config the AudioSpecificConfig of ISO 14496-3
   * @throws UserError where it is not AAC-LC in one or two channels.
   */
  static async open(config: Uint8Array): Promise<AacDecoder> {
    compiled ??= compile();
    // An instance a stream: a packet that breaks one leaves the others whole.
    const { exports } = await WebAssembly.instantiate(await compiled);
    const decoder = new AacDecoder(exports as unknown as Exports);
    decoder.#write(config);
    if (decoder.#wasm.stream_configure(decoder.#stream) === 0) {
      throw new UserError('Only plain AAC (AAC-LC) in one or two channels can be decoded here.');
    }
    return decoder;
  }

  #write(bytes: Uint8Array): void {
    const at = this.#wasm.stream_input(this.#stream, bytes.length);
    new Uint8Array(this.#wasm.memory.buffer, at, bytes.length).set(bytes);
  }

  /** Samples of one packet; none where it is damaged. */
  decode(packet: Uint8Array): { channelData: Float32Array[]; samplesDecoded: number; sampleRate: number } {
    this.#write(packet);
    const count = Math.max(0, this.#wasm.stream_decode(this.#stream));
    const sampleRate = this.#wasm.stream_rate(this.#stream);
    const at = this.#wasm.stream_output(this.#stream);
    const channelData = Array.from({ length: this.#wasm.stream_channels(this.#stream) }, (_, channel) =>
      new Float32Array(this.#wasm.memory.buffer, at + 4 * channel * count, count).slice(),
    );
    return { channelData, samplesDecoded: count, sampleRate };
  }

  free(): void {
    this.#wasm.stream_free(this.#stream);
  }
}
