import attention_decode_gpu from '../../../shaders/attention_decode_gpu.wgsl';
import attention_delta from '../../../shaders/attention_delta.wgsl';
import attention_dkv_cpu from '../../../shaders/attention_dkv_cpu.wgsl';
import attention_dkv_gpu from '../../../shaders/attention_dkv_gpu.wgsl';
import attention_dq_cpu from '../../../shaders/attention_dq_cpu.wgsl';
import attention_dq_gpu from '../../../shaders/attention_dq_gpu.wgsl';
import attention_forward_cpu from '../../../shaders/attention_forward_cpu.wgsl';
import attention_forward_gpu from '../../../shaders/attention_forward_gpu.wgsl';
import attention_lanes from '../../../shaders/attention_lanes.wgsl';
import attention_tiles from '../../../shaders/attention_tiles.wgsl';

/** The attention shaders by name. */
export const library: Readonly<Record<string, string>> = {
  attention_decode_gpu,
  attention_delta,
  attention_dkv_cpu,
  attention_dkv_gpu,
  attention_dq_cpu,
  attention_dq_gpu,
  attention_forward_cpu,
  attention_forward_gpu,
  attention_lanes,
  attention_tiles,
};
