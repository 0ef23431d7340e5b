/**
 * The attention workshop: forward, delta, dq and dkv at given shapes, each timed alone.
 *
 *   node bench/node.mjs bench/kernels/attention.ts [WORD…]
 *
 * Words: a shape (T256H8/8x32: tokens, heads, key heads, head size; with a K, T4096K77H8/8x40, cross attention over so many
 * keys beside each other with their values), full (all see all; else self attention is causal), family=gpu, a kernel (forward, delta, dq, dkv), and
 * NAME=1,2,4 to try values of a define (ROWS=1,2 BLOCK=4,8). Prints the best milliseconds of several rounds (on software
 * adapters processor time of all threads: divide by the cores), GFLOP/s of the causal half, and the time until the first
 * result (compiling). Fresh times need a fresh MESA_SHADER_CACHE_DIR.
 */
import { Device } from '../../src/engine/device.ts';
import { attention, attentionBackward, attentionParts } from '../../src/engine/kernels/attention.ts';
import type { KernelCall, KernelFamily } from '../../src/engine/kernels/kernel.ts';
import { SHADERS } from 'virtual:shaders';
import { FIRST_BUFFER_BINDING, PARAMS_BINDING, expandShader, packFields } from '../../src/engine/wgsl.ts';
import { openNodeGpu } from '../../src/headless/gpu.ts';

const words = process.argv.slice(2);
const family = words.find((word) => word.startsWith('family='))?.slice(7) as KernelFamily | undefined;
const shapes = words.filter((word) => /^T\d+/.test(word));
if (shapes.length === 0) shapes.push('T64H4/4x32', 'T256H8/8x32', 'T256H9/3x64');
const kernels = ['forward', 'delta', 'dq', 'dkv'].filter((name) => words.includes(name));
const tries = words
  .filter((word) => /^[A-Z_]+=/.test(word))
  .map((word) => {
    const [name, values] = word.split('=') as [string, string];
    return { name, values: values.split(',').map(Number) };
  });
const seconds = Number(words.find((word) => word.startsWith('seconds='))?.slice(8) ?? 0.6);

const device = await Device.open(await openNodeGpu(), family ? { family } : {});
const gpu = device.gpu;
console.log(`${device.info.description || device.info.architecture}; family ${device.target.family}`);
gpu.addEventListener('uncapturederror', (event) => console.log(event.error.message.slice(0, 2000)));

// On a software adapter the time that matters is the processor's: on a busy machine it is steadier than the clock's.
const isSoftware = device.info.isSoftware;
function clock(): number {
  if (!isSoftware) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Every way to give each tried define one of its values. */
function variants(defines: KernelCall<string>['defines']): Record<string, number>[] {
  let all: Record<string, number>[] = [{}];
  for (const { name, values } of tries) {
    if (name in defines) all = all.flatMap((one) => values.map((value) => ({ ...one, [name]: value })));
  }
  return all;
}

for (const text of shapes) {
  const [tokens, given, heads, kvHeads, headDim] = /^T(\d+)(?:K(\d+))?H(\d+)\/(\d+)x(\d+)$/
    .exec(text)!
    .slice(1)
    .map((word?: string) => Number(word ?? 0)) as [number, number, number, number, number];
  const isCross = given > 0;
  const isFull = isCross || words.includes('full');
  const keys = isCross ? given : tokens;
  const [own, others] = [heads * headDim, 2 * kvHeads * headDim];
  const stride = isCross ? others : own + others;
  const o = { stride: own, offset: 0 };
  const q = { stride: isCross ? own : stride, offset: 0 };
  const k = { stride, offset: isCross ? 0 : own };
  const v = { stride, offset: k.offset + kvHeads * headDim };
  const shape = {
    queries: tokens,
    keys,
    heads,
    kvHeads,
    headDim,
    scale: headDim ** -0.5,
    q,
    k,
    v,
    o,
    density: isFull ? 1 : 0.5,
  };
  const ranges = (rows: number, of: (t: number) => [number, number]) =>
    Uint32Array.from(Array.from({ length: rows }, (_, t) => of(t)).flat());
  const data: Record<string, Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>> = {
    q: Float32Array.from({ length: tokens * q.stride }, () => Math.random() - 0.5),
    kv: Float32Array.from({ length: keys * stride }, () => Math.random() - 0.5),
    dO: Float32Array.from({ length: tokens * o.stride }, () => Math.random() - 0.5),
    keyRanges: ranges(tokens, (t) => [0, isFull ? keys : t + 1]),
    queryRanges: ranges(keys, (t) => [isFull ? 0 : t, tokens]),
    o: new Float32Array(tokens * o.stride),
    dq: new Float32Array(tokens * q.stride),
    dkv: new Float32Array(keys * stride),
    lse: new Float32Array(tokens * heads),
    stats: new Float32Array(2 * tokens * heads),
  };
  const backwardShape = { ...shape, dO: o, dq: q, dk: k, dv: v };
  const parts = attentionParts(device.target, backwardShape);
  if (parts > 0) data['parts'] = new Float32Array(parts);
  const buffers = new Map<string, GPUBuffer>();
  for (const [name, values] of Object.entries(data)) {
    const buffer = gpu.createBuffer({
      size: values.byteLength,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
    });
    gpu.queue.writeBuffer(buffer, 0, values);
    buffers.set(name, buffer);
  }
  const names = { q: isCross ? 'q' : 'kv', k: 'kv', v: 'kv', keyRanges: 'keyRanges', o: 'o', lse: 'lse' };
  const calls = [
    ...attention(device.target, shape, names),
    ...attentionBackward(device.target, backwardShape, {
      ...names,
      dO: 'dO',
      queryRanges: 'queryRanges',
      stats: 'stats',
      ...(parts > 0 && { parts: 'parts' }),
      dq: isCross ? 'dq' : 'dkv',
      dk: 'dkv',
      dv: 'dkv',
    }),
  ];
  let total = 0;
  for (const call of calls) {
    const name = /_(forward|delta|dq|dkv|sum)/.exec(call.shader)![1]!;
    if (kernels.length > 0 && !kernels.includes(name)) continue;
    let best = Infinity;
    for (const changes of variants(call.defines)) {
      const defines = { ...call.defines, ...changes };
      const rows = (d: typeof defines) => Number(d['ROWS'] ?? 1) * Number(d['WG'] ?? 1);
      const groups = Math.ceil((call.grid[0] * rows(call.defines)) / rows(defines));
      const shader = expandShader(SHADERS[call.shader]!, defines, SHADERS);
      const start = clock();
      const pipeline = await gpu.createComputePipelineAsync({
        layout: 'auto',
        compute: { module: gpu.createShaderModule({ code: shader.code }), entryPoint: 'main' },
      });
      const uniform = gpu.createBuffer({
        size: 4 * shader.params.length,
        usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      });
      const bytes = new ArrayBuffer(4 * shader.params.length);
      packFields(shader.params, call.params, new DataView(bytes));
      gpu.queue.writeBuffer(uniform, 0, bytes);
      const entries: GPUBindGroupEntry[] = shader.buffers.map(({ name: key }, i) => ({
        binding: FIRST_BUFFER_BINDING + i,
        resource: { buffer: buffers.get(call.buffers[key]!)! },
      }));
      entries.push({ binding: PARAMS_BINDING, resource: { buffer: uniform } });
      const group = gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
      const round = async (times: number): Promise<number> => {
        const encoder = gpu.createCommandEncoder();
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        for (let i = 0; i < times; i++) pass.dispatchWorkgroups(groups, call.grid[1], call.grid[2]);
        pass.end();
        const from = clock();
        gpu.queue.submit([encoder.finish()]);
        await gpu.queue.onSubmittedWorkDone();
        return (clock() - from) / times;
      };
      await round(1);
      // A long kernel is timed one at a time.
      const rounds = call.flops > 1e9 ? 1 : 8;
      const compile = clock() - start;
      let fastest = Infinity;
      const until = performance.now() + 1000 * seconds;
      while (performance.now() < until) fastest = Math.min(fastest, await round(rounds));
      best = Math.min(best, fastest);
      const note = Object.entries(changes)
        .map(([key, value]) => `${key}=${value}`)
        .join(' ');
      console.log(
        `${text.padEnd(12)} ${name.padEnd(8)} ${note.padEnd(18)} ${fastest.toFixed(3).padStart(8)} ms ` +
          `${(call.flops / fastest / 1e6).toFixed(1).padStart(6)} GFLOP/s  first ${compile.toFixed(0)} ms`,
      );
    }
    total += best;
  }
  console.log(`${text.padEnd(12)} all      ${''.padEnd(18)} ${total.toFixed(3).padStart(8)} ms`);
}
process.exit(0);
