/** A file with its path where it lay in a folder: captions and repeats may stand in the names. */
export interface NamedFile {
  name: string;
  file: File;
}
