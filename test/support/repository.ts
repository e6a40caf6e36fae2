import { existsSync } from 'node:fs';

/** Folder of the repository, whether this runs from the sources or built. */
export function repositoryRoot(): URL {
  for (let folder = new URL('.', import.meta.url); folder.pathname !== '/';) {
    if (existsSync(new URL('pnpm-workspace.yaml', folder))) return folder;
    folder = new URL('..', folder);
  }
  throw new Error('this file is in no repository');
}
