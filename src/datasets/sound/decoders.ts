/**
 * Decoders of MP3, Vorbis, Opus and FLAC in WebAssembly (mpg123, libvorbis, libopus, libFLAC; 60 to 110 kB each, inlined in
 * their modules, loaded when a file first needs one). They run in a worker and in Node alike, so a file gives the same samples
 * everywhere. PCM is decoded by mediabunny itself; AAC by the browser (WebCodecs) where it can, which knows all its profiles,
 * else by aac-decoder.ts; Dolby's forms by those browsers that have them.
 */
import { AudioSample, CustomAudioDecoder, registerDecoder } from 'mediabunny';
import type { AudioCodec, EncodedPacket } from 'mediabunny';
import type { OggPage } from 'codec-parser';
import type { AacDecoder as AacStream } from './aac-decoder.ts';
import { adtsFrame, isPlainAac, opusLayout, vorbisHeaders } from './codec-headers.ts';

interface Decoded {
  channelData: Float32Array[];
  samplesDecoded: number;
  sampleRate: number;
}

/** One stream's decoder: packets in, samples out. */
interface PacketDecoder {
  decode(packet: Uint8Array): Decoded | Promise<Decoded>;
  free(): void;
}

const MAKERS: Partial<Record<AudioCodec, (config: AudioDecoderConfig) => Promise<PacketDecoder>>> = {
  async mp3() {
    const { MPEGDecoder } = await import('mpg123-decoder');
    // Encoder delay is left in: browsers' own decoders leave it too, and 25 ms of silence harm nothing.
    const decoder = new MPEGDecoder({ enableGapless: false });
    await decoder.ready;
    return { decode: (packet) => decoder.decodeFrame(packet), free: () => decoder.free() };
  },

  async flac() {
    const { FLACDecoder } = await import('@wasm-audio-decoders/flac');
    const decoder = new FLACDecoder();
    await decoder.ready;
    return { decode: (packet) => decoder.decodeFrames([packet]), free: () => decoder.free() };
  },

  async opus({ description, numberOfChannels }) {
    const { OpusDecoder } = await import('opus-decoder');
    const decoder = new OpusDecoder({ ...opusLayout(bytesOf(description), numberOfChannels), preSkip: 0 });
    await decoder.ready;
    return { decode: (packet) => decoder.decodeFrame(packet), free: () => decoder.free() };
  },

  async aac({ description }) {
    const { AacDecoder } = await import('./aac-decoder.ts');
    const config = bytesOf(description);
    if (config.length > 0) return AacDecoder.open(config);
    // A bare stream: each packet has a header of its own, the first says what follows.
    let decoder: AacStream | null = null;
    return {
      async decode(packet) {
        const frame = adtsFrame(packet);
        decoder ??= await AacDecoder.open(frame.config);
        return decoder.decode(frame.data);
      },
      free: () => decoder?.free(),
    };
  },

  async vorbis({ description }) {
    const [{ OggVorbisDecoder }, keys] = await Promise.all([
      import('@wasm-audio-decoders/ogg-vorbis'),
      import('codec-parser'),
    ]);
    const { identification, setup } = vorbisHeaders(bytesOf(description));
    const decoder = new OggVorbisDecoder();
    await decoder.ready;
    const page = (packet: Uint8Array, frames: OggPage[typeof keys.codecFrames]): OggPage => ({
      [keys.data]: packet,
      [keys.codecFrames]: frames,
    });
    await decoder.decodeOggPages([page(identification, [])]);
    const decode = (packet: Uint8Array): Promise<Decoded> =>
      decoder.decodeOggPages([page(packet, [{ [keys.data]: packet, [keys.header]: { [keys.vorbisSetup]: setup } }])]);
    return { decode, free: () => decoder.free() };
  },
};

function bytesOf(source: AllowSharedBufferSource | undefined): Uint8Array {
  if (!source) return new Uint8Array();
  return ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source);
}

/** Matroska's times are only so fine. */
const MILLISECOND = 0.001_01;

/** What mediabunny asks to decode what WebCodecs need not. */
class WasmDecoder extends CustomAudioDecoder {
  #decoder: PacketDecoder | null = null;
  /** Seconds at which the next samples lie; decoders that give them a packet late are so placed rightly. */
  #at: number | null = null;

  static override supports(codec: AudioCodec, config: AudioDecoderConfig): boolean {
    if (codec === 'aac') return aacHere && isPlainAac(bytesOf(config.description), config.numberOfChannels);
    return codec in MAKERS;
  }

  override async init(): Promise<void> {
    this.#decoder = await MAKERS[this.codec]!(this.config);
  }

  override async decode(packet: EncodedPacket): Promise<void> {
    this.#give(packet, await this.#decoder!.decode(packet.data));
  }

  #give(packet: EncodedPacket, { channelData, samplesDecoded, sampleRate }: Decoded): void {
    if (samplesDecoded === 0) {
      // Vorbis' first block gives nothing, it is there for the second to overlap with; mpg123 gives a frame with the next one.
      if (this.codec !== 'vorbis') this.#at ??= packet.timestamp;
      return;
    }
    if (this.#at === null) {
      // What Opus begins with and nobody is to hear lies before the first packet's time.
      const before = this.codec === 'opus' ? samplesDecoded / sampleRate - packet.duration : 0;
      this.#at = packet.timestamp - (before > MILLISECOND ? before : 0);
    }
    // mpg123 always gives two channels.
    const channels = channelData.slice(0, this.config.numberOfChannels);
    const data = new Float32Array(channels.length * samplesDecoded);
    channels.forEach((channel, i) => data.set(channel.subarray(0, samplesDecoded), i * samplesDecoded));
    const timestamp = this.#at;
    this.#at = timestamp + samplesDecoded / sampleRate;
    this.onSample(
      new AudioSample({ data, format: 'f32-planar', numberOfChannels: channels.length, sampleRate, timestamp }),
    );
  }

  override flush(): void {
    // Each packet is decoded as it comes.
  }

  override close(): void {
    this.#decoder?.free();
    this.#decoder = null;
  }
}

/** Whether AAC is decoded here and not by the browser. */
let aacHere = false;
let registered = false;

/** Tells mediabunny which of these decoders a stream needs; to be called before it is asked whether it can decode it. */
export async function chooseDecoder(codec: AudioCodec, config: AudioDecoderConfig): Promise<void> {
  if (codec === 'aac') {
    const native = 'AudioDecoder' in globalThis && (await AudioDecoder.isConfigSupported(config)).supported === true;
    aacHere = !native;
  }
  if (!registered) registerDecoder(WasmDecoder);
  registered = true;
}
