export { ApiKeys, isApiKey, mintApiKey } from './api-key.ts';
export type { ApiKeyRecord } from './api-key.ts';
export { OF_COMMANDS, wantsCredentials } from './auth-settings.ts';
export { allows, mergeGrants, parseGrant, parseGrants, SCOPES, WHOLE_CLUSTER } from './grants.ts';
export type { Grants, Scope } from './grants.ts';
