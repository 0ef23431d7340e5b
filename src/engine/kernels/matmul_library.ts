import matmul_backward_common from '../../../shaders/matmul_backward_common.wgsl';
import matmul_backward_cpu from '../../../shaders/matmul_backward_cpu.wgsl';
import matmul_backward_gpu from '../../../shaders/matmul_backward_gpu.wgsl';
import matmul_linear_common from '../../../shaders/matmul_linear_common.wgsl';
import matmul_linear_cpu from '../../../shaders/matmul_linear_cpu.wgsl';
import matmul_linear_gpu from '../../../shaders/matmul_linear_gpu.wgsl';
import matmul_multiply from '../../../shaders/matmul_multiply.wgsl';
import matmul_skinny_common from '../../../shaders/matmul_skinny_common.wgsl';
import matmul_skinny_cpu from '../../../shaders/matmul_skinny_cpu.wgsl';
import matmul_skinny_gpu from '../../../shaders/matmul_skinny_gpu.wgsl';
import matmul_skinny_part from '../../../shaders/matmul_skinny_part.wgsl';
import matmul_vector_gpu from '../../../shaders/matmul_vector_gpu.wgsl';
import matmul_weight from '../../../shaders/matmul_weight.wgsl';

/** The matmul shaders by name. */
export const library: Readonly<Record<string, string>> = {
  matmul_backward_common,
  matmul_backward_cpu,
  matmul_backward_gpu,
  matmul_linear_common,
  matmul_linear_cpu,
  matmul_linear_gpu,
  matmul_multiply,
  matmul_skinny_common,
  matmul_skinny_cpu,
  matmul_skinny_gpu,
  matmul_skinny_part,
  matmul_vector_gpu,
  matmul_weight,
};
