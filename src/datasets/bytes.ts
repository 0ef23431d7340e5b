/** Reads numbers out of bytes that nobody vouches for: whatever lies outside reads as undefined, nothing throws. */
export class Bytes {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  #holds(at: number, size: number): boolean {
    return Number.isInteger(at) && at >= 0 && at + size <= this.bytes.length;
  }

  u8(at: number): number | undefined {
    return this.#holds(at, 1) ? this.#view.getUint8(at) : undefined;
  }

  u16(at: number, little = false): number | undefined {
    return this.#holds(at, 2) ? this.#view.getUint16(at, little) : undefined;
  }

  u24(at: number, little = false): number | undefined {
    if (!this.#holds(at, 3)) return undefined;
    const [a, b, c] = [this.#view.getUint8(at), this.#view.getUint8(at + 1), this.#view.getUint8(at + 2)];
    return little ? a | (b << 8) | (c << 16) : (a << 16) | (b << 8) | c;
  }

  u32(at: number, little = false): number | undefined {
    return this.#holds(at, 4) ? this.#view.getUint32(at, little) : undefined;
  }

  i32(at: number, little = false): number | undefined {
    return this.#holds(at, 4) ? this.#view.getInt32(at, little) : undefined;
  }

  /** `length` bytes as Latin letters; shorter at the end of the file. */
  text(at: number, length: number): string {
    let text = '';
    const end = Math.min(this.bytes.length, at + length);
    for (let i = Math.max(0, at); i < end; i++) text += String.fromCharCode(this.bytes[i]!);
    return text;
  }

  has(at: number, text: string): boolean {
    return this.text(at, text.length) === text;
  }

  part(start: number, end: number): Bytes {
    return new Bytes(this.bytes.subarray(Math.max(0, start), Math.max(0, Math.min(end, this.bytes.length))));
  }
}
