import { Template } from '@huggingface/jinja';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import { ChatTemplate } from '../../../src/models/causal-lm/chat-template.ts';
import { LimitedTemplate } from '../../../src/models/causal-lm/limited-template.ts';
import { fixture } from '../../support/disk-folder.ts';

const ENDLESS = /does not end: choose another version/;
const LONG = /writes too much: choose another version/;
const EITHER = /does not end|writes too much/;

const render = (source: string, items: Record<string, unknown> = {}): string =>
  new LimitedTemplate(source, () => undefined).render(items);

/** A text of 2^n characters, or a list of as many items, under the name x. */
const doubled = (n: number, start: string): string =>
  `{% set ns = namespace(x=${start}) %}{% for i in range(${n}) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{% set x = ns.x %}`;
const TEXT = doubled(19, "'a'");

// None of these would end, or fit into memory; the runner's own time limit is what catches one that gets by.
describe('a template that never ends or writes without end is stopped', () => {
  test.each([
    ['a long loop without a body', '{% for i in range(1000000000) %}{% endfor %}', ENDLESS],
    ['a range alone', '{{ range(1000000000)|length }}', ENDLESS],
    ['a range backwards', '{{ range(0, -1000000000, -1)|length }}', ENDLESS],
    [
      'loops in one another',
      '{% for i in range(1000) %}{% for j in range(1000) %}{% for k in range(1000) %}{% endfor %}{% endfor %}{% endfor %}',
      ENDLESS,
    ],
    [
      'loops over one list',
      '{% set x = range(100000) %}{% for i in x %}{% for j in x %}{% endfor %}{% endfor %}',
      ENDLESS,
    ],
    [
      'a loop that picks',
      '{% for i in range(100000) %}{% for j in range(100000) if false %}{% endfor %}{% endfor %}',
      ENDLESS,
    ],
    ['a text doubled', doubled(28, "'a'") + '{{ x }}', LONG],
    ['a text doubled by ~', doubled(28, "'a'").replace('ns.x + ns.x', 'ns.x ~ ns.x'), LONG],
    ['a text written often', TEXT + '{% for i in range(1000) %}{{ x }}{% endfor %}', LONG],
    ['a list doubled', doubled(40, '[1]'), ENDLESS],
    ['a list that holds itself twice', doubled(60, "'a'").replace('ns.x + ns.x', '[ns.x, ns.x]') + '{{ x }}', LONG],
    ['the same as JSON', doubled(60, "'a'").replace('ns.x + ns.x', '[ns.x, ns.x]') + '{{ x|tojson|length }}', LONG],
    [
      'the same compared with a text',
      doubled(60, "'a'").replace('ns.x + ns.x', '[ns.x, ns.x]') + "{{ x == 'a' }}",
      LONG,
    ],
    ['the same joined', doubled(60, "'a'").replace('ns.x + ns.x', '[ns.x, ns.x]') + "{{ x|join('') }}", LONG],
    ['the same behind a text', doubled(60, "'a'").replace('ns.x + ns.x', '[ns.x, ns.x]') + "{{ 'a' ~ x }}", LONG],
    ['an object of objects', doubled(60, "'a'").replace('ns.x + ns.x', "{'a': ns.x, 'b': ns.x}") + '{{ x }}', LONG],
    ['lists nested deeply', doubled(5000, '[1]').replace('ns.x + ns.x', '[ns.x]') + '{{ x }}', ENDLESS],
    ['a macro that calls itself', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', ENDLESS],
    [
      'a macro that calls itself twice',
      '{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}',
      ENDLESS,
    ],
    ['call blocks without end', '{% macro f() %}{% call f() %}{% endcall %}{% endmacro %}{{ f() }}', ENDLESS],
    ['a deep sum', `{{ ${'1 + '.repeat(1000)}1 }}`, ENDLESS],
    ['characters replaced by texts', TEXT + "{{ x.replace('a', x)|length }}", LONG],
    ['the same as a filter', TEXT + "{{ x|replace('a', x)|length }}", LONG],
    ['the same as a block', TEXT + "{% filter replace('a', x) %}{{ x }}{% endfilter %}", LONG],
    ['the same under another name', TEXT + "{% set f = x.replace %}{{ f('a', x)|length }}", LONG],
    ['the same by its name in brackets', TEXT + "{{ x['repl' + 'ace']('a', x)|length }}", LONG],
    ['the same with arguments from a list', TEXT + "{{ x.replace(*['a', x])|length }}", LONG],
    ['nothing replaced by texts', TEXT + "{{ x.replace('', x)|length }}", LONG],
    ['characters joined by a long text', TEXT + '{{ x|join(x)|length }}', LONG],
    ['items joined by a long text', TEXT + '{{ range(10000)|join(x)|length }}', LONG],
    [
      'a long text many times in a list',
      TEXT + '{% set y = [x, x, x, x, x, x, x, x] %}{{ (y + y + y + y)|join|length }}',
      LONG,
    ],
    ['lines indented far', "{{ 'a\\nb'|indent(1000000000) }}", LONG],
    ['lines indented far by name', "{{ 'a\\nb'|indent(width=1000000000) }}", LONG],
    ['JSON indented far', '{{ [1]|tojson(indent=1000000000) }}', LONG],
    ['JSON with long separators', TEXT + '{{ [1, 2, 3]|tojson(separators=[x + x, x]) }}', LONG],
    [
      'long texts sorted',
      TEXT + '{% set y = [x + "b", x + "a"] %}{% for i in range(1000000) %}{% set z = y|sort %}{% endfor %}',
      EITHER,
    ],
    ['a text searched for often', TEXT + "{% for i in range(1000000) %}{% set z = 'b' in x %}{% endfor %}", EITHER],
    ['a text split often', TEXT + "{% for i in range(1000) %}{% set z = x.split('a') %}{% endfor %}", EITHER],
    ['a text cut off often', TEXT + '{% for i in range(1000) %}{% set z = x.strip() %}{% endfor %}', EITHER],
    [
      'a large macro defined often',
      `{% for i in range(100000) %}{% macro f() %}${'{{ 1 }}'.repeat(5000)}{% endmacro %}{% endfor %}`,
      ENDLESS,
    ],
  ])('%s', (_, source, message) => {
    let thrown: unknown;
    try {
      render(source);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(UserError);
    expect(String(thrown)).toMatch(message);
  });

  test('a range whose steps are too small to tell apart ends', () => {
    expect(render('{{ range(2 ** 60, 2 ** 60 + 1024, 0.5)|length }}')).toBe('2048');
  });

  test('a template nested too deeply to be read is refused, too', () => {
    expect(() => new ChatTemplate(`{{ ${'('.repeat(50000)}1${')'.repeat(50000)} }}`, {}, [])).toThrow(/cannot be read/);
  });

  test('a text times a number, which Jinja here does not know, is refused as before', () => {
    expect(() => render("{{ 'a' * 1000000000 }}")).toThrow(/Unknown operator "\*"/);
  });

  test('a conversation says so at once, without trying other forms of it', () => {
    const chat = new ChatTemplate('{% for i in range(1000000000) %}{% endfor %}{{ messages }}', {}, []);
    const messages = [{ role: 'user', content: 'Hello' }] as const;
    expect(() => chat.render([...messages])).toThrow(/^The base's chat template does not end/);
    const late = new ChatTemplate(
      '{% if add_generation_prompt %}{% for i in range(1000000000) %}{% endfor %}{% endif %}' +
        '{% for m in messages %}{{ m.content }}<end>{% endfor %}',
      {},
      ['<end>'],
    );
    const turns = [...messages, { role: 'assistant', content: 'Hi' } as const];
    expect(() => late.renderTrained(turns)).toThrow(/^The base's chat template does not end/);
  });
});

describe('what templates do renders as the library renders it', () => {
  const items = {
    text: 'one two\nthree\n\nfour',
    words: ['b', 'a', 'C', 'a'],
    rows: [
      { name: 'x', size: 2, tags: ['p', 'q'] },
      { name: 'y', size: 1 },
    ],
    message: { role: 'user', content: ' Hi <b>there</b> ' },
  };

  test.each([
    '{{ text.split() }} {{ text.split("\\n") }} {{ text.split("\\n", 1) }}',
    '{{ text.replace("o", "00") }} {{ text|replace("o", "00") }} {{ text.replace("o", "0", 1) }} {{ text.replace("", "-") }}',
    '{{ text|indent }}|{{ text|indent(2, true) }}|{{ text|indent(width=3, blank=true) }}',
    '{{ words|join }} {{ words|join(", ") }} {{ text|join("-") }} {{ words|sort|join(",") }} {{ words|sort(reverse=true) }}',
    '{{ words|unique|list }} {{ words|reverse|list }} {{ words|first }}{{ words|last }}{{ words|length }} {{ words[1:] }} {{ words[::-1] }}',
    '{{ rows|selectattr("tags")|list }} {{ rows|selectattr("name", "equalto", "y")|map(attribute="size")|list }}',
    '{{ rows|rejectattr("name", "eq", "x")|list }} {{ rows|sort(attribute="size")|map(attribute="name")|join }}',
    '{{ rows|tojson }} {{ rows|tojson(indent=2) }} {{ rows|tojson(separators=[",", ":"], sort_keys=true) }}',
    '{{ message }} {{ message.items() }} {{ message|dictsort }} {{ message.get("name", "nobody") }} {{ message|items|list }}',
    '{% for k, v in message.items() %}{{ loop.index }}{{ k }}={{ v|trim }};{% endfor %}',
    '{% for row in rows if row.size > 1 %}{{ row.name }}{% else %}none{% endfor %}{% for r in [] %}{% else %}none{% endfor %}',
    '{% for i in range(5) %}{% if i == 1 %}{% continue %}{% elif i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}',
    '{{ range(3) }} {{ range(1, 4) }} {{ range(10, 0, -3) }} {{ range(2, 2) }} {{ range(5, 1) }} {{ range(0, 2, 0.5) }}',
    '{% macro tag(name, sep="/") %}<{{ name }}{{ sep }}{{ caller() if caller else "" }}>{% endmacro %}{{ tag("a") }}{{ tag("b", sep="!") }}{% call tag("c") %}in{% endcall %}',
    '{% macro all() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ all(1, *words, **{"z": 2}) }}',
    '{% set ns = namespace(n=0, found=false) %}{% for w in words %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}{{ ns.found }}',
    '{% set a, b = [1, 2] %}{{ a ~ b }} {% set block %}x{{ a }}{% endset %}{{ block }} {% filter upper %}low{{ b }}{% endfilter %}',
    '{{ "a" in words }} {{ "z" not in words }} {{ "wo" in text }} {{ "role" in message }} {{ words in missing }} {{ words == words }}',
    '{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ 7 % 3 }} {{ 2 ** 3 }} {{ -1 }} {{ 1.5 }} {{ [1] + [2] }} {{ "a" + 1 }} {{ 1 < 2 and 2 <= 2 }}',
    '{{ text.startswith("one") }} {{ text.startswith(["x", "one"]) }} {{ text.endswith("r") }} {{ text.upper() }} {{ text|title }} {{ text.lstrip() }}',
    '{{ message is mapping }} {{ text is string }} {{ missing is defined }} {{ none is none }} {{ 3 is odd }} {{ words is iterable }} {{ raise_exception is callable }}',
    '{{ missing|default("d") }} {{ ""|default("d", true) }} {{ "12"|int + 1 }} {{ "x"|int(5) }} {{ "1.5"|float }} {{ 3|string }} {{ words|string }}',
    '{{ message["content"]|trim }} {{ message.content[1:3] }} {{ words[0] }} {{ words[-1] }} {{ words[9] }} {{ text.split("\\n")[0].upper() }}',
    '{{ "yes" if text else "no" }} {{ missing.anything if missing else "none" }} {# a comment #}{{ strftime_now("%Y") }} {{ True }} {{ None }}',
    '{{ {"a": [1, {"b": none}], "c": "ü\\n"} }} {{ {"a": "ü"}|tojson(ensure_ascii=true) }} {% for i in (1, "a") %}{{ i }}{% endfor %}',
  ])('%s', (source) => {
    expect(render(source, items)).toBe(new Template(source).render(items));
  });

  test('refusals of the template come out as they are', () => {
    expect(() => render('{{ raise_exception("no system") }}')).toThrow('no system');
    expect(() => render('{{ missing.a.b() }}')).toThrow(/not a function/);
  });

  test('every template of the fixtures, with a long conversation of long turns', () => {
    const families =
      fixture<Record<string, { template: string; special: Record<string, string> }>>('formats/templates.json');
    const content = 'A sentence of some length, as people write them.\n'.repeat(60);
    const messages = Array.from({ length: 300 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content }));
    for (const { template, special } of Object.values(families)) {
      const given = { ...special, messages, add_generation_prompt: false, tools: null, documents: null };
      // Blocks that only transformers knows.
      const source = template.replace(/\{%-?\s*(end)?generation\s*-?%\}/g, '');
      expect(render(source, given)).toBe(new Template(source).render(given));
    }
  });
});
