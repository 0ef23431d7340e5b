/** What the UNet is told by a prompt. */
export interface TextState {
  /** [S, D], the text encoders' outputs side by side */
  states: Float32Array<ArrayBuffer>;
  contextLength: number;
  /** SDXL: [P], the second encoder's projected summary */
  pooled?: Float32Array<ArrayBuffer>;
  /** Token ids of the first encoder, for a text encoder that is trained with the rest. */
  ids: Uint32Array<ArrayBuffer>;
}
