// usearch declares Node 22 for its build tools. Its prebuilt Node-API addon needs far less: the whole
// test suite runs with it on Node 20.20. Only this version's claim is taken away; engineStrict stays
// for everything else. The lockfile keeps what this hook leaves, so installs from it work; but pnpm
// looks at a manifest before it asks the hook while it resolves anew. On Node 20, then:
//
//   pnpm add --config.engine-strict=false <package>

const EXEMPT = { name: 'usearch', version: '2.26.2' };

function readPackage(manifest) {
  if (manifest.name === EXEMPT.name && manifest.version === EXEMPT.version) delete manifest.engines;
  return manifest;
}

module.exports = { hooks: { readPackage } };
