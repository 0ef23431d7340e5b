/** Keeps what takes long to compute, by a text that says all that it depends on but the base. Losing an entry costs time alone. */
export interface TaskCache {
  read(key: string): Promise<Float32Array<ArrayBuffer> | undefined>;
  write(key: string, values: Float32Array<ArrayBuffer>): Promise<void>;
  /** Called after a set of writes. */
  trim(): Promise<void>;
}
