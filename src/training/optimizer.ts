import type { AdapterBuffers } from '../engine/adapter-buffers.ts';
import type { Device } from '../engine/device.ts';
import { makeTensor } from '../engine/graph.ts';
import type { KernelTarget } from '../engine/kernels/kernel.ts';
import { OPTIMIZER_STATE, adamW, gradientNorm, gradientNormScratch } from '../engine/kernels/optimizer.ts';
import type { Operand } from '../engine/ops/types.ts';
import { Program, ProgramPlan } from '../engine/program.ts';
import type { SharedArenas } from '../engine/shared-arenas.ts';
import { IDLE_STEP } from '../engine/wgsl.ts';
import type { Recipe } from './recipe.ts';

export interface UpdateResult {
  /** Before clipping. */
  gradNorm: number;
  /** Nothing was changed: the gradient held a NaN or an infinity. */
  notFinite: boolean;
}

/** Norm, clipping and AdamW over the whole adapter in three dispatches. */
export class Optimizer {
  readonly program: Program;
  readonly #recipe: Recipe;

  private constructor(program: Program, recipe: Recipe) {
    this.program = program;
    this.#recipe = recipe;
  }

  /**
   * @param count elements of each flat buffer, gaps included (they stay zero)
   * @param slow so many elements at its beginning learn at `rate` times the learning rate
   */
  static plan(
    count: number,
    recipe: Recipe,
    target: KernelTarget,
    slow?: { count: number; rate: number },
  ): ProgramPlan {
    const flat = (key: string) => makeTensor('flat', { shape: [count] }, key);
    const gradients = flat('gradients');
    const scratch = makeTensor('intermediate', { shape: [gradientNormScratch(target, count)], label: 'norm scratch' });
    const state = makeTensor('intermediate', { shape: [OPTIMIZER_STATE.length], label: 'optimizer state' });
    const calls = [
      ...gradientNorm<Operand>(target, { count, maxNorm: recipe.max_grad_norm }, { x: gradients, scratch, state }),
      ...adamW<Operand>(
        target,
        {
          count,
          beta1: recipe.adam_beta1,
          beta2: recipe.adam_beta2,
          eps: recipe.adam_epsilon,
          weightDecay: recipe.weight_decay,
          slow,
        },
        { weights: flat('parameters'), gradients, first: flat('moment1'), second: flat('moment2'), state },
      ),
    ];
    return new ProgramPlan(calls, new Map(), new Map([['state', state]]), Infinity);
  }

  static async build(
    device: Device,
    plan: ProgramPlan,
    adapter: AdapterBuffers,
    recipe: Recipe,
    arenas?: SharedArenas,
  ): Promise<Optimizer> {
    return new Optimizer(await Program.build(device, plan, { adapter }, arenas), recipe);
  }

  /**
   * Submits the update before it returns; call after `program.ready()`.
   * @param step optimiser steps done before this one
   */
  async update(step: number, learningRate: number): Promise<UpdateResult> {
    const { adam_beta1, adam_beta2 } = this.#recipe;
    const { state } = await this.program.start(
      {},
      {
        ...IDLE_STEP,
        learning_rate: learningRate,
        bias_correction1: 1 - adam_beta1 ** (step + 1),
        bias_correction2: 1 - adam_beta2 ** (step + 1),
      },
    );
    return { gradNorm: state![OPTIMIZER_STATE.norm]!, notFinite: state![OPTIMIZER_STATE.notFinite]! !== 0 };
  }

  destroy(): void {
    this.program.destroy();
  }
}
