import activation from '../../../shaders/activation.wgsl';
import adamw from '../../../shaders/adamw.wgsl';
import column_sum from '../../../shaders/column_sum.wgsl';
import copy_columns from '../../../shaders/copy_columns.wgsl';
import cross_entropy from '../../../shaders/cross_entropy.wgsl';
import dora_norm from '../../../shaders/dora_norm.wgsl';
import dropout from '../../../shaders/dropout.wgsl';
import embedding from '../../../shaders/embedding.wgsl';
import gated_activation from '../../../shaders/gated_activation.wgsl';
import gated_activation_backward from '../../../shaders/gated_activation_backward.wgsl';
import gradient_norm from '../../../shaders/gradient_norm.wgsl';
import map from '../../../shaders/map.wgsl';
import reduce_sum from '../../../shaders/reduce_sum.wgsl';
import rms_norm from '../../../shaders/rms_norm.wgsl';
import rms_norm_backward from '../../../shaders/rms_norm_backward.wgsl';
import rope from '../../../shaders/rope.wgsl';
import rope_backward from '../../../shaders/rope_backward.wgsl';
import rope_common from '../../../shaders/rope_common.wgsl';
import row_reduce from '../../../shaders/row_reduce.wgsl';
import scatter_rows from '../../../shaders/scatter_rows.wgsl';
import stored_weight from '../../../shaders/stored_weight.wgsl';
import vector from '../../../shaders/vector.wgsl';
import { library as attention } from './attention_library.ts';
import { library as matmul } from './matmul_library.ts';

/** Every shader by its file's name; what kernels name and `#include` finds. */
export const SHADERS: Readonly<Record<string, string>> = {
  ...attention,
  ...matmul,
  activation,
  adamw,
  column_sum,
  copy_columns,
  cross_entropy,
  dora_norm,
  dropout,
  embedding,
  gated_activation,
  gated_activation_backward,
  gradient_norm,
  map,
  reduce_sum,
  rms_norm,
  rms_norm_backward,
  rope,
  rope_backward,
  rope_common,
  row_reduce,
  scatter_rows,
  stored_weight,
  vector,
};
