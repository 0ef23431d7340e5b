// OPFS in a worker: TypeScript has these only in the webworker library, which cannot be mixed with the DOM's.
interface FileSystemSyncAccessHandle {
  read(buffer: AllowSharedBufferSource, options?: { at?: number }): number;
  write(buffer: AllowSharedBufferSource, options?: { at?: number }): number;
  truncate(newSize: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

interface FileSystemFileHandle {
  /** Workers only. */
  createSyncAccessHandle(): Promise<FileSystemSyncAccessHandle>;
}
