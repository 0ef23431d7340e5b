/** Attention and feed-forward layers of the UNet's transformers: what kohya's networks.lora adapts. */
export const UNET_TARGETS: readonly string[] = [
  'to_q',
  'to_k',
  'to_v',
  'to_out.0',
  'ff.net.0.proj',
  'ff.net.2',
  'proj_in',
  'proj_out',
];
