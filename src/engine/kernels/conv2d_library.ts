import conv2d_backward_common from '../../../shaders/conv2d_backward_common.wgsl';
import conv2d_backward_cpu from '../../../shaders/conv2d_backward_cpu.wgsl';
import conv2d_backward_gpu from '../../../shaders/conv2d_backward_gpu.wgsl';
import conv2d_common from '../../../shaders/conv2d_common.wgsl';
import conv2d_cpu from '../../../shaders/conv2d_cpu.wgsl';
import conv2d_gpu from '../../../shaders/conv2d_gpu.wgsl';
import fold from '../../../shaders/fold.wgsl';
import unfold from '../../../shaders/unfold.wgsl';
import upsample_nearest from '../../../shaders/upsample_nearest.wgsl';
import upsample_nearest_backward from '../../../shaders/upsample_nearest_backward.wgsl';

/** The convolution shaders by name; they include some of matmul's. */
export const library: Readonly<Record<string, string>> = {
  conv2d_backward_common,
  conv2d_backward_cpu,
  conv2d_backward_gpu,
  conv2d_common,
  conv2d_cpu,
  conv2d_gpu,
  fold,
  unfold,
  upsample_nearest,
  upsample_nearest_backward,
};
