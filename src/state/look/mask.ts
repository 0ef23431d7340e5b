/** The longest side of a mask: finer than any picture's latents. */
const LONGEST = 1024;

/**
 * A mask being painted. The canvas shows what is not learnt as black, and what is learnt as nothing; the file is a picture
 * of the same shape, white where it is learnt.
 */
export class MaskCanvas {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  /** Nothing was painted: all is learnt. */
  #empty = true;
  #last: { x: number; y: number } | null = null;
  #turn = 0;

  constructor(canvas: HTMLCanvasElement, width: number, height: number) {
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d', { willReadFrequently: true })!;
  }

  async load(mask: Blob | null): Promise<void> {
    const turn = ++this.#turn;
    const bitmap = mask ? await createImageBitmap(mask) : null;
    if (turn !== this.#turn) return;
    const { width, height } = this.#canvas;
    this.#empty = bitmap === null;
    this.#context.globalCompositeOperation = 'source-over';
    this.#context.clearRect(0, 0, width, height);
    if (!bitmap) return;
    this.#context.drawImage(bitmap, 0, 0, width, height);
    bitmap.close();
    const image = this.#context.getImageData(0, 0, width, height);
    for (let i = 0; i < image.data.length; i += 4) {
      const learnt = image.data[i]!;
      image.data.fill(0, i, i + 3);
      image.data[i + 3] = 255 - learnt;
    }
    this.#context.putImageData(image, 0, 0);
  }

  /** Nothing is learnt but what the first stroke paints. */
  #begin(erase: boolean): void {
    this.#turn += 1;
    if (!this.#empty) return;
    this.#empty = false;
    if (erase) return;
    this.#context.globalCompositeOperation = 'source-over';
    this.#context.fillStyle = '#000';
    this.#context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  #line(from: { x: number; y: number }, to: { x: number; y: number }, radius: number, erase: boolean): void {
    const { width, height } = this.#canvas;
    const context = this.#context;
    context.globalCompositeOperation = erase ? 'source-over' : 'destination-out';
    context.strokeStyle = '#000';
    context.lineCap = 'round';
    context.lineWidth = Math.max(1, 2 * radius * width);
    context.beginPath();
    context.moveTo(from.x * width, from.y * height);
    // A line of no length draws nothing.
    context.lineTo(to.x * width + (from === to ? 0.01 : 0), to.y * height);
    context.stroke();
  }

  /** One touch of the brush, at shares of the picture; the radius is a share of its width. */
  dab(x: number, y: number, radius: number, erase: boolean): void {
    this.#begin(erase);
    const at = { x, y };
    this.#line(at, at, radius, erase);
    this.#last = at;
  }

  /** On from the last touch. */
  stroke(x: number, y: number, radius: number, erase: boolean): void {
    const to = { x, y };
    if (this.#last) this.#line(this.#last, to, radius, erase);
    this.#last = to;
  }

  lift(): void {
    this.#last = null;
  }

  /** What was learnt is not, and the other way round. */
  invert(): void {
    this.#turn += 1;
    this.#empty = false;
    const { width, height } = this.#canvas;
    const image = this.#context.getImageData(0, 0, width, height);
    for (let i = 3; i < image.data.length; i += 4) image.data[i] = 255 - image.data[i]!;
    this.#context.putImageData(image, 0, 0);
  }

  /** The mask as a PNG, white where it is learnt. */
  async toBlob(): Promise<Blob | null> {
    const copy = document.createElement('canvas');
    copy.width = this.#canvas.width;
    copy.height = this.#canvas.height;
    const context = copy.getContext('2d')!;
    context.fillStyle = '#fff';
    context.fillRect(0, 0, copy.width, copy.height);
    context.drawImage(this.#canvas, 0, 0);
    return new Promise((resolve) => copy.toBlob(resolve, 'image/png'));
  }
}
