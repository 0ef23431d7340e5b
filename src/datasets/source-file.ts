/** A file to import; a browser's File fits. `stream` may be called once. */
export interface SourceFile {
  name: string;
  /** Bytes; only used for the progress. */
  size: number;
  stream(): ReadableStream<Uint8Array>;
}
