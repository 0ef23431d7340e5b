import matmul_backward_cpu from '../../../shaders/matmul_backward_cpu.wgsl';
import matmul_linear_cpu from '../../../shaders/matmul_linear_cpu.wgsl';
import matmul_skinny_cpu from '../../../shaders/matmul_skinny_cpu.wgsl';
import matmul_multiply from '../../../shaders/matmul_multiply.wgsl';
import matmul_weight from '../../../shaders/matmul_weight.wgsl';

/** The matmul shaders by name. */
export const library: Readonly<Record<string, string>> = {
  matmul_backward_cpu,
  matmul_linear_cpu,
  matmul_skinny_cpu,
  matmul_multiply,
  matmul_weight,
};
