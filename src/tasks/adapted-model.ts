import type { Adapter, LoraTensors } from '../adapters/peft.ts';
import { writePeftFolder } from '../adapters/peft.ts';
import { decodeRunState } from '../training/checkpoint.ts';
import type { AdaptableBase } from './adapter-slot.ts';
import { AdapterSlot } from './adapter-slot.ts';

/** A base on the device with at most one adapter beside it. */
export abstract class AdaptedModel {
  readonly adapter: AdapterSlot;

  protected constructor(base: AdaptableBase) {
    this.adapter = new AdapterSlot(base, () => this.dropPrograms());
  }

  /** Frees what reads the adapter: it is about to change. */
  protected abstract dropPrograms(): void;

  /** Puts an adapter beside the base, or takes it away. */
  async useAdapter(adapter: Adapter | null): Promise<void> {
    if (!adapter) return this.adapter.drop();
    await this.adapter.activate(adapter, false);
  }

  /** The adapter as it is now. Throws UserError where there is none. */
  async currentAdapter(): Promise<Adapter> {
    return this.adapter.current();
  }

  /** Gradient of every adapter tensor as the last step left it, before clipping. */
  async currentGradients(): Promise<Map<string, LoraTensors>> {
    return this.adapter.gradients();
  }

  /** The adapter inside a checkpoint, without touching the one in use. */
  async adapterOfCheckpoint(bytes: Uint8Array<ArrayBuffer>): Promise<Adapter> {
    return this.adapter.ofState(await decodeRunState(bytes));
  }
}

/** A model whose adapters leave as PEFT folders. */
export abstract class PeftModel extends AdaptedModel {
  /** An adapter as a PEFT folder: file name to bytes. */
  peftFolder({ config, tensors }: Adapter, baseName: string): Map<string, Uint8Array<ArrayBuffer>> {
    return writePeftFolder({ config: { ...config, base_model_name_or_path: baseName }, tensors });
  }

  /** The adapter as it is now, as a PEFT folder. */
  async exportAdapter(baseName: string): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
    return this.peftFolder(await this.currentAdapter(), baseName);
  }
}
