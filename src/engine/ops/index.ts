import { attentionBackwardOp, attentionOp, relativeAttentionOp } from './attention.ts';
import {
  conv2dBackwardOp,
  conv2dOp,
  foldOp,
  unfoldOp,
  upsampleNearestBackwardOp,
  upsampleNearestOp,
} from './convolution.ts';
import { doraNormOp } from './dora.ts';
import { embeddingOp } from './embedding.ts';
import { embeddingLoraGradientOp, embeddingLoraOp } from './embedding-lora.ts';
import { columnSumOp, concatOp, dropoutOp, mapOp, sliceOp, sumOp } from './elementwise.ts';
import { gatedActivationBackwardOp, gatedActivationOp } from './gated-activation.ts';
import { linearBackwardOp, linearOp, loraGradientOp, loraUpBackwardOp } from './linear.ts';
import { lstmOp } from './lstm.ts';
import { crossEntropyHeadOp, crossEntropyOp, squaredErrorOp } from './loss.ts';
import {
  groupNormBackwardOp,
  groupNormOp,
  layerNormBackwardOp,
  layerNormOp,
  rmsNormBackwardOp,
  rmsNormOp,
} from './normalisation.ts';
import { headNormRopeBackwardOp, headNormRopeOp } from './rope.ts';
import { argmaxRowsOp, padRowsOp, scatterRowsOp } from './rows.ts';
import type { OpTable } from './types.ts';

/** Every op with its shape rule, gradient rule and kernels. A missing entry does not compile. */
export const OPERATIONS: OpTable = {
  embedding: embeddingOp,
  linear: linearOp,
  linearBackward: linearBackwardOp,
  loraUpBackward: loraUpBackwardOp,
  loraGradient: loraGradientOp,
  rmsNorm: rmsNormOp,
  rmsNormBackward: rmsNormBackwardOp,
  groupNorm: groupNormOp,
  groupNormBackward: groupNormBackwardOp,
  layerNorm: layerNormOp,
  layerNormBackward: layerNormBackwardOp,
  headNormRope: headNormRopeOp,
  headNormRopeBackward: headNormRopeBackwardOp,
  attention: attentionOp,
  relativeAttention: relativeAttentionOp,
  attentionBackward: attentionBackwardOp,
  conv2d: conv2dOp,
  conv2dBackward: conv2dBackwardOp,
  unfold: unfoldOp,
  fold: foldOp,
  upsampleNearest: upsampleNearestOp,
  upsampleNearestBackward: upsampleNearestBackwardOp,
  gatedActivation: gatedActivationOp,
  gatedActivationBackward: gatedActivationBackwardOp,
  map: mapOp,
  concat: concatOp,
  slice: sliceOp,
  columnSum: columnSumOp,
  dropout: dropoutOp,
  doraNorm: doraNormOp,
  crossEntropyHead: crossEntropyHeadOp,
  crossEntropy: crossEntropyOp,
  squaredError: squaredErrorOp,
  sum: sumOp,
  scatterRows: scatterRowsOp,
  embeddingLora: embeddingLoraOp,
  embeddingLoraGradient: embeddingLoraGradientOp,
  padRows: padRowsOp,
  argmaxRows: argmaxRowsOp,
  lstm: lstmOp,
};
