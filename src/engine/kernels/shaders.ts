import activation from '../../../shaders/activation.wgsl';
import adamw from '../../../shaders/adamw.wgsl';
import argmax_rows from '../../../shaders/argmax_rows.wgsl';
import column_sum from '../../../shaders/column_sum.wgsl';
import copy_columns from '../../../shaders/copy_columns.wgsl';
import cross_entropy from '../../../shaders/cross_entropy.wgsl';
import dora_norm from '../../../shaders/dora_norm.wgsl';
import dropout from '../../../shaders/dropout.wgsl';
import embedding from '../../../shaders/embedding.wgsl';
import embedding_lora from '../../../shaders/embedding_lora.wgsl';
import embedding_lora_gradient from '../../../shaders/embedding_lora_gradient.wgsl';
import erf from '../../../shaders/erf.wgsl';
import expm1 from '../../../shaders/expm1.wgsl';
import gated_activation from '../../../shaders/gated_activation.wgsl';
import gated_activation_backward from '../../../shaders/gated_activation_backward.wgsl';
import gradient_norm from '../../../shaders/gradient_norm.wgsl';
import group_norm_apply from '../../../shaders/group_norm_apply.wgsl';
import group_norm_backward_apply from '../../../shaders/group_norm_backward_apply.wgsl';
import group_norm_backward_sums from '../../../shaders/group_norm_backward_sums.wgsl';
import group_norm_common from '../../../shaders/group_norm_common.wgsl';
import group_norm_finish from '../../../shaders/group_norm_finish.wgsl';
import group_norm_gradient from '../../../shaders/group_norm_gradient.wgsl';
import group_norm_pairs from '../../../shaders/group_norm_pairs.wgsl';
import group_norm_sums from '../../../shaders/group_norm_sums.wgsl';
import layer_norm from '../../../shaders/layer_norm.wgsl';
import layer_norm_backward from '../../../shaders/layer_norm_backward.wgsl';
import lstm from '../../../shaders/lstm.wgsl';
import map from '../../../shaders/map.wgsl';
import pad_rows from '../../../shaders/pad_rows.wgsl';
import reduce_sum from '../../../shaders/reduce_sum.wgsl';
import rms_norm from '../../../shaders/rms_norm.wgsl';
import rms_norm_backward from '../../../shaders/rms_norm_backward.wgsl';
import rope from '../../../shaders/rope.wgsl';
import rope_backward from '../../../shaders/rope_backward.wgsl';
import rope_common from '../../../shaders/rope_common.wgsl';
import row_reduce from '../../../shaders/row_reduce.wgsl';
import scatter_rows from '../../../shaders/scatter_rows.wgsl';
import softmax_rows from '../../../shaders/softmax_rows.wgsl';
import squared_error from '../../../shaders/squared_error.wgsl';
import stored_weight from '../../../shaders/stored_weight.wgsl';
import vector from '../../../shaders/vector.wgsl';
import { library as attention } from './attention_library.ts';
import { library as conv2d } from './conv2d_library.ts';
import { library as matmul } from './matmul_library.ts';

/** Every shader by its file's name; what kernels name and `#include` finds. */
export const SHADERS: Readonly<Record<string, string>> = {
  ...attention,
  ...conv2d,
  ...matmul,
  activation,
  adamw,
  argmax_rows,
  column_sum,
  copy_columns,
  cross_entropy,
  dora_norm,
  dropout,
  embedding,
  embedding_lora,
  embedding_lora_gradient,
  erf,
  expm1,
  gated_activation,
  gated_activation_backward,
  gradient_norm,
  group_norm_apply,
  group_norm_backward_apply,
  group_norm_backward_sums,
  group_norm_common,
  group_norm_finish,
  group_norm_gradient,
  group_norm_pairs,
  group_norm_sums,
  layer_norm,
  layer_norm_backward,
  lstm,
  map,
  pad_rows,
  reduce_sum,
  rms_norm,
  rms_norm_backward,
  rope,
  rope_backward,
  rope_common,
  row_reduce,
  scatter_rows,
  softmax_rows,
  squared_error,
  stored_weight,
  vector,
};
