/** What the UNet is told by a prompt. */
export interface TextState {
  /** [S, D], the text encoders' outputs side by side */
  states: Float32Array<ArrayBuffer>;
  contextLength: number;
  /** SDXL: [P], the second encoder's projected summary */
  pooled?: Float32Array<ArrayBuffer>;
  /** Token ids for each text encoder, for one that is trained with the rest; none where states were given. */
  ids: readonly Uint32Array<ArrayBuffer>[];
}
