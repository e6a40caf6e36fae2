/** Major, minor, patch. */
export type Version = readonly [number, number, number];

/** The first dotted version in a text: `nats-server: v2.10.27`, `Redis server v=7.0.15 sha=…`. */
export function parseVersion(text: string): Version | undefined {
  const match = /(?<![\d.])(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  if (match === null) return undefined;
  return [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
}

/** A Debian version without its epoch and revision: `5:7.0.15-1~deb12u7` is 7.0.15. */
export function parseDebianVersion(text: string): Version | undefined {
  return parseVersion(text.replace(/^\d+:/, ''));
}

export function isAtLeast(version: Version, minimum: Version): boolean {
  for (const place of [0, 1, 2] as const)
    if (version[place] !== minimum[place]) return version[place] > minimum[place];
  return true;
}

export function formatVersion(version: Version): string {
  return version.join('.');
}
