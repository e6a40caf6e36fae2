import { readFile } from 'node:fs/promises';
import { Script } from 'node:vm';
import ts from 'typescript';
import { expect, test } from 'vitest';

// The first example runs in test/integration/sdk.test.ts.
test('examples of the README had syntax that Node 20 cannot read', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const examples = [...readme.matchAll(/```ts\n([^]*?)```/g)].map(([, code = '']) => code);
  expect(examples.length).toBeGreaterThan(4);
  for (const example of examples) {
    expect(example).not.toMatch(/await using/); // which a later Node reads
    const { outputText } = ts.transpileModule(example, {
      compilerOptions: { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext },
    });
    const body = outputText.replaceAll(/^(import|export) .*$/gm, '');
    // Read, and not run.
    expect(() => new Script(`async () => {${body}}`)).not.toThrow();
  }
});
