import type { LoraConfig } from '../adapters/lora-config.ts';
import type { LoraLayout } from '../adapters/layout.ts';
import type { Adapter, LoraTensors } from '../adapters/peft.ts';
import { matchAdapter } from '../adapters/peft.ts';
import type { AdaptableModule, LoraTarget } from '../adapters/targets.ts';
import { AdapterBuffers } from '../engine/adapter-buffers.ts';
import type { Device } from '../engine/device.ts';
import type { WeightSlices } from '../engine/weights.ts';
import { UserError } from '../common/errors.ts';
import type { AdapterHook } from '../models/layers/builder.ts';

/** What an adapter is put beside. */
export interface AdaptableBase extends WeightSlices {
  readonly device: Device;
  readonly modules: readonly AdaptableModule[];
  /** A layout for these modules, traced through a forward pass so that every tensor has its place. */
  layout(targets: readonly LoraTarget[], lora: LoraConfig, training: boolean): LoraLayout;
  destroy(): void;
}

export interface ActiveAdapter {
  config: LoraConfig;
  layout: LoraLayout;
  buffers: AdapterBuffers;
}

/** An adapter's part in a forward pass outside of training. */
export const generationHook = (layout: LoraLayout): AdapterHook => ({
  grouped: layout.grouped,
  dropout: 0,
  group: layout.group.bind(layout),
});

/** The one adapter that lies beside a base on the device, or none. */
export class AdapterSlot {
  readonly #base: AdaptableBase;
  readonly #changing: () => void;
  #active: ActiveAdapter | undefined;

  /** @param changing called before the adapter's memory is freed: programs that read it must go first */
  constructor(base: AdaptableBase, changing: () => void) {
    this.#base = base;
    this.#changing = changing;
  }

  get active(): ActiveAdapter | undefined {
    return this.#active;
  }

  get buffers(): AdapterBuffers | undefined {
    return this.#active?.buffers;
  }

  get hook(): AdapterHook | undefined {
    return this.#active && generationHook(this.#active.layout);
  }

  async activate(adapter: Adapter, training: boolean): Promise<ActiveAdapter> {
    const { config, tensors } = adapter;
    const layout = this.#base.layout(matchAdapter(adapter, this.#base.modules), config, training);
    const flat = layout.pack(tensors);
    this.drop();
    const buffers = await AdapterBuffers.create(this.#base.device, layout.flat, training);
    buffers.write('parameters', flat);
    this.#active = { config, layout, buffers };
    return this.#active;
  }

  drop(): void {
    this.#changing();
    this.#active?.buffers.destroy();
    this.#active = undefined;
  }

  #need(): ActiveAdapter {
    if (!this.#active) throw new UserError('There is no adapter yet. Train one first.');
    return this.#active;
  }

  /** The adapter as it is now. Throws UserError where there is none. */
  async current(): Promise<Adapter> {
    const { config, layout, buffers } = this.#need();
    return { config, tensors: layout.unpack(await buffers.read('parameters')) };
  }

  /** Gradient of every adapter tensor as the last step left it, before clipping. */
  async gradients(): Promise<Map<string, LoraTensors>> {
    const { layout, buffers } = this.#need();
    return layout.unpack(await buffers.read('gradients'));
  }
}
