declare module 'virtual:shaders' {
  /** The text of every file of shaders/ by its name without .wgsl: what kernels name and `#include` finds. */
  export const SHADERS: Readonly<Record<string, string>>;
}
