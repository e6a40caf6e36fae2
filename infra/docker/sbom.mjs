// What an image is made of, as a CycloneDX document: node sbom.mjs NAME FOLDER, the folder being what
// `pnpm deploy` made. Read from the packages that are there, not from what was asked for.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [name, folder] = process.argv.slice(2);
const components = new Map();
for (const manifest of manifestsBelow(join(folder, 'node_modules', '.pnpm'))) {
  const { name: of, version, license } = JSON.parse(readFileSync(manifest, 'utf8'));
  if (of === undefined || version === undefined) continue;
  const purl = `pkg:npm/${of.replace('@', '%40')}@${version}`;
  components.set(purl, {
    type: 'library',
    name: of,
    version,
    purl,
    ...(typeof license === 'string' && { licenses: [{ expression: license }] }),
  });
}
const document = {
  bomFormat: 'CycloneDX',
  specVersion: '1.6',
  version: 1,
  metadata: { component: { type: 'application', name: `engram-${name}` } },
  components: [...components.values()].sort((a, b) => (a.purl < b.purl ? -1 : 1)),
};
console.log(JSON.stringify(document, undefined, 2));

/** `.pnpm/NAME@VERSION/node_modules/[@SCOPE/]NAME/package.json` */
function* manifestsBelow(store) {
  for (const entry of readdirSync(store, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name === 'node_modules') continue;
    const inside = join(store, entry.name, 'node_modules');
    for (const each of readdirSync(inside, { withFileTypes: true })) {
      // Links lead to packages that have a folder of their own.
      if (!each.isDirectory()) continue;
      const scoped = each.name.startsWith('@');
      const names = scoped
        ? readdirSync(join(inside, each.name), { withFileTypes: true })
            .filter((of) => of.isDirectory())
            .map((of) => join(each.name, of.name))
        : [each.name];
      for (const of of names) yield join(inside, of, 'package.json');
    }
  }
}
