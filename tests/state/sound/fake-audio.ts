/** A browser's audio without a sound: it tells what was to be heard and when. */
export class FakeAudioContext {
  static all: FakeAudioContext[] = [];
  currentTime = 0;
  closed = false;
  readonly destination = {};
  readonly options: { sampleRate?: number };
  /** Start, seconds and first sample of each piece. */
  readonly heard: { at: number; seconds: number; first: number; channels: number }[] = [];

  constructor(options: { sampleRate?: number } = {}) {
    this.options = options;
    FakeAudioContext.all.push(this);
  }

  createBuffer(channels: number, length: number, sampleRate: number): FakeBuffer {
    return new FakeBuffer(channels, length / sampleRate);
  }

  createBufferSource(): { buffer: FakeBuffer | null; connect: () => void; start: (at: number) => void } {
    const source = {
      buffer: null as FakeBuffer | null,
      connect: () => undefined,
      start: (at: number) => {
        const { seconds, first, channels } = source.buffer!;
        this.heard.push({ at, seconds, first, channels });
      },
    };
    return source;
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

class FakeBuffer {
  first = NaN;
  readonly channels: number;
  readonly seconds: number;

  constructor(channels: number, seconds: number) {
    this.channels = channels;
    this.seconds = seconds;
  }

  copyToChannel(samples: Float32Array, channel: number): void {
    if (channel === 0) this.first = samples[0]!;
  }
}

/** An audio element that plays until the test says that it has ended, or is told to fail. */
export class FakeAudio extends EventTarget {
  static all: FakeAudio[] = [];
  static refuse: Error | null = null;
  currentTime = 0;
  playing = false;
  readonly src: string;

  constructor(src: string) {
    super();
    this.src = src;
    FakeAudio.all.push(this);
  }

  async play(): Promise<void> {
    if (FakeAudio.refuse) throw FakeAudio.refuse;
    this.playing = true;
  }

  pause(): void {
    this.playing = false;
  }

  end(): void {
    this.playing = false;
    this.dispatchEvent(new Event('ended'));
  }
}
