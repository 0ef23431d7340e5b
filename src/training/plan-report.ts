/** Bytes by kind, work by step; known before anything is allocated. */
export interface PlanReport {
  frozenBytes: number;
  /** Adapter, its gradient and both moments. */
  adapterBytes: number;
  /** Activations kept from forward to backward. */
  activationBytes: number;
  workspaceBytes: number;
  /** Samples along the way: key/value caches and the programs that speak. */
  sampleBytes: number;
  /** Batch inputs, kernel parameters, read-back. */
  ioBytes: number;
  totalBytes: number;
  dispatchesPerStep: number;
  flopsPerStep: number;
  bytesMovedPerStep: number;
  /** Blocks whose activations are computed again in the backward pass. */
  recomputedBlocks: number;
  adapterParameters: number;
  /** What a step goes through: tokens of a voice, pictures of a look. */
  tokensPerStep: number;
  totalSteps: number;
}
