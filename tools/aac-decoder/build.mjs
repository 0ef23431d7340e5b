// node tools/aac-decoder/build.mjs: compiles the decoder (needs Rust with the target wasm32-unknown-unknown) and writes it, packed,
// into src/datasets/sound/aac-wasm.ts. Its sources are Symphonia's, as Cargo.lock names them (MPL-2.0, crates.io).
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const here = import.meta.dirname;
const target = mkdtempSync(join(tmpdir(), 'aac-decoder-'));
try {
  const options = ['build', '--release', '--locked', '--target', 'wasm32-unknown-unknown', '--target-dir', target];
  execFileSync('cargo', options, { cwd: here, stdio: 'inherit' });
  const wasm = readFileSync(join(target, 'wasm32-unknown-unknown/release/aac_decoder.wasm'));
  const packed = gzipSync(wasm, { level: 9 }).toString('base64');
  writeFileSync(
    join(here, '../../src/datasets/sound/aac-wasm.ts'),
    `/** Written by tools/aac-decoder/build.mjs: Symphonia's decoder of AAC-LC (MPL-2.0), gzip in base64. */\nexport const AAC_WASM =\n  '${packed}';\n`,
  );
} finally {
  rmSync(target, { recursive: true });
}
