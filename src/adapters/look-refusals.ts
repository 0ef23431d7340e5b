import { UserError } from '../common/errors.ts';
import { quoteValue } from '../common/json.ts';

interface OtherKind {
  /** What a tensor's name looks like in it. */
  mark: RegExp;
  what: string;
  why: string;
}

const LORA_ONLY = 'Only LoRA is supported; most tools can convert it, or train it again, as LoRA.';

/** Files that are near an image LoRA and are none, or one for other models. */
const OTHER_KINDS: readonly OtherKind[] = [
  {
    mark: /\.hada_(w[12]|t[12])/,
    what: 'a LoHa',
    why: `it multiplies two low-rank changes element by element. ${LORA_ONLY}`,
  },
  { mark: /\.lokr_(w[12]|t2)/, what: 'a LoKr', why: `its change is a Kronecker product. ${LORA_ONLY}` },
  {
    mark: /\.on_input$|\.ia3_l$/,
    what: 'an (IA)³ adapter',
    why: `it scales what a layer gives instead of adding to its weights. ${LORA_ONLY}`,
  },
  {
    mark: /\.(a[12]|b[12])\.weight$|\.b[me]\.weight$/,
    what: 'a GLoRA',
    why: `its change depends on the base's own weights. ${LORA_ONLY}`,
  },
  {
    mark: /\.(oft_blocks|oft_diag|oft_R|boft_R)\b|\.oft_/,
    what: 'an OFT or BOFT adapter',
    why: `it turns the weights instead of adding to them. ${LORA_ONLY}`,
  },
  {
    mark: /\.lora_mid\.weight$/,
    what: 'a LoCon with Tucker decomposition',
    why: 'it has a third matrix between the two (lora_mid). Only LoRA with two matrices a layer is supported.',
  },
  {
    mark: /\.(diff|diff_b)$/,
    what: 'a full difference of weights',
    why: `it holds changed weights as they are. ${LORA_ONLY}`,
  },
  { mark: /\.(w_norm|b_norm)$/, what: 'a LyCORIS file with trained norms', why: LORA_ONLY },
  { mark: /lora_embedding_|token_adapter/, what: 'an adapter of word embeddings', why: LORA_ONLY },
  { mark: /(lora_B|lora_up|lora\.up)\.bias$/, what: 'a LoRA with biases', why: 'biases are not supported.' },
  {
    mark: /lora_controlnet/,
    what: 'a control LoRA',
    why: 'it stands for a ControlNet. Only LoRA of the model itself is supported.',
  },
  {
    mark: /^(string_to_param|emb_params|clip_[lg])($|\.)/,
    what: 'a trained word (textual inversion)',
    why: 'it changes no layer. Only LoRA is supported.',
  },
  {
    mark: /double_blocks|single_blocks|joint_blocks|transformer_blocks\.\d+\.attn\.|^transformer\.|lora_transformer_|lora_te3_|txt_in|img_in/,
    what: 'an adapter for a transformer model such as FLUX or Stable Diffusion 3',
    why: 'only bases of the Stable Diffusion 1, 2 and XL classes are supported.',
  },
  {
    mark: /^model\.diffusion_model\.(?!.*lora)|^(first_stage_model|cond_stage_model|conditioner)\./,
    what: 'a whole model',
    why: 'it is a base, not an adapter. Open it as the base instead.',
  },
];

/** Throws UserError for a file of another kind, named by the first tensor that shows it. */
export function refuseOtherKinds(names: readonly string[], source: string): void {
  for (const { mark, what, why } of OTHER_KINDS) {
    const name = names.find((each) => mark.test(each));
    if (name !== undefined)
      throw new UserError(`${source} is ${what} (its tensor ${quoteValue(name)} says so): ${why}`);
  }
}
