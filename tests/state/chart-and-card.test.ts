import { describe, expect, it } from 'vitest';
import { chartRows, chartSummary, chartTable, smooth } from '../../src/app/parts/chart-data.ts';
import { sparkline } from '../../src/app/parts/sparkline.ts';
import { modelCard } from '../../src/state/voice/card.ts';
import { newProject, type RunRecord } from '../../src/storage/records.ts';

const steps = Array.from({ length: 60 }, (_, i) => ({
  step: i + 1,
  loss: 4 - i / 20,
  learningRate: 1e-3,
  gradNorm: 1,
  tokens: 100,
  seconds: 0.1,
}));

describe('the loss chart', () => {
  it('puts held-out losses beside the steps and reaches to the planned end', () => {
    const [x, loss, , held] = chartRows(
      steps,
      [
        { step: 0, loss: 4.1 },
        { step: 20, loss: 3.2 },
      ],
      100,
    ) as unknown as (number | null)[][];
    expect(x![0]).toBe(0);
    expect(x!.at(-1)).toBe(100);
    expect(loss![0]).toBeNull();
    expect(held![0]).toBe(4.1);
    expect(held![x!.indexOf(20)]).toBe(3.2);
    expect(loss![x!.indexOf(20)]).toBe(steps[19]!.loss);
  });

  it('thins long runs by means, losing no end', () => {
    const long = Array.from({ length: 20_000 }, (_, i) => ({ ...steps[0]!, step: i + 1, loss: i % 2 }));
    const [x, loss] = chartRows(long, [], 0) as unknown as number[][];
    expect(x!.length).toBeLessThanOrEqual(1500);
    expect(x!.at(-1)).toBe(20_000);
    for (const value of loss!) expect(value).toBeCloseTo(0.5, 1);
  });

  it('smooths without a lag at the start', () => {
    expect(smooth([3, 3, 3])).toEqual([3, 3, 3].map((value) => expect.closeTo(value, 9) as number));
    const line = smooth([10, 0, 0, 0]);
    expect(line[0]).toBe(10);
    expect(line[3]!).toBeLessThan(line[1]!);
  });

  it('has a sentence and a table', () => {
    expect(chartSummary([], [])).toBe('No step yet.');
    expect(
      chartSummary(steps, [
        { step: 20, loss: 3 },
        { step: 60, loss: 3.4 },
      ]),
    ).toMatch(/the lowest was 3\.000 at step 20/);
    const table = chartTable(steps, [{ step: 60, loss: 1 }]);
    expect(table.length).toBeLessThan(20);
    expect(table.at(-1)).toMatchObject({ step: 60, heldOut: 1 });
  });
});

describe('the small curve', () => {
  it('needs two points and no particular scale', () => {
    expect(sparkline([1], 10, 10)).toBe('');
    expect(sparkline([NaN, 1], 10, 10)).toBe('');
    expect(sparkline([2, 2, 2], 96, 44)).not.toMatch(/NaN/);
  });
});

describe('the model card', () => {
  const project = { ...newProject('p', 'voice', 'My *voice*', 0), realPerson: false };
  const run: RunRecord = {
    id: 'r',
    projectId: 'p',
    baseId: 'b',
    startedAt: 0,
    changedAt: 0,
    status: 'finished',
    step: 80,
    totalSteps: 80,
    recipe: { learning_rate: 0.002, seed: 0 },
    adapter: { r: 16, lora_alpha: 32 },
    plannedBytes: 0,
    measuredBytes: 0,
    loss: 1.5,
    heldOutLoss: 1.75,
    bestStep: 80,
    reason: '',
    seconds: 60,
    tokens: 1000,
  };
  const facts = { project, run, step: 80, rowCount: 220, characters: 90_000, baseName: 'some "base"', embedded: false };

  it('says what it is, and quotes what the person wrote', () => {
    const card = modelCard(facts);
    expect(card.startsWith('---\nbase_model: "some \\"base\\""\nlibrary_name: peft')).toBe(true);
    expect(card).toContain('# My \\*voice\\*');
    expect(card).toContain('rank 16, alpha 32');
    expect(card).toContain('220 rows');
    expect(card).toContain('held-out loss 1.750');
    expect(card).toContain('| learning_rate | 0.002 |');
    expect(card).not.toContain('consent');
  });

  it('carries the word on consent where a real person is taught', () => {
    expect(modelCard({ ...facts, project: { ...project, realPerson: true } })).toMatch(/only with their consent/);
  });

  it('cannot be broken out of', () => {
    const card = modelCard({
      ...facts,
      project: { ...project, name: 'x\n---\n# y', ask: { ...project.ask, wish: '<b>|`' } },
    });
    expect(card).toContain('# x --- \\# y');
    expect(card).toContain('\\<b\\>\\|\\`');
  });
});
