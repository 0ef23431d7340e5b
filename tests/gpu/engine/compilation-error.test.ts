import { expect, test } from 'vitest';
import { CompilationError } from '../../../src/engine/device.ts';
import { ownDevice } from './support.ts';

test('a shader that does not compile is named, with the line and what is wrong with it', async () => {
  const device = await ownDevice();
  const code = '@compute @workgroup_size(1)\nfn main() {\n  let a = missing + 1;\n}\n';
  const compiling = device.guarded('preparing the kernels', () => device.pipeline(code, 'broken'));
  const error: unknown = await compiling.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(CompilationError);
  expect((error as Error).message).toMatch(
    /^The shader broken does not compile\.\nline 3: .*missing.*\n {2}let a = missing \+ 1;/,
  );
  // The device goes on.
  device.check();
  const good = '@compute @workgroup_size(1)\nfn main() {}\n';
  await device.guarded('preparing the kernels', () => device.pipeline(good, 'good'));
  device.destroy();
});
