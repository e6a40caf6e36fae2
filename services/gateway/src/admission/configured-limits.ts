import type { NamedLimits } from '@engram/runtime/service';
import type { GatewayConfig } from '../config.ts';
import type { Limit, LimitsOptions, Scope } from './limits.ts';

/** The limits of everybody, and of those that have their own. */
export function configuredLimits(
  config: GatewayConfig,
  named: NamedLimits,
): LimitsOptions['limitOf'] {
  const common: Readonly<Record<Scope, Limit>> = {
    space: {
      observationsPerS: config.ENGRAM_SPACE_OBSERVATIONS_PER_S,
      readsPerS: config.ENGRAM_SPACE_READS_PER_S,
      requestsMax: config.ENGRAM_SPACE_REQUESTS_MAX,
    },
    caller: {
      observationsPerS: config.ENGRAM_CALLER_OBSERVATIONS_PER_S,
      readsPerS: config.ENGRAM_CALLER_READS_PER_S,
      requestsMax: config.ENGRAM_CALLER_REQUESTS_MAX,
    },
  };
  const own = (scope: Scope) =>
    new Map(
      [...named[scope]].map(([name, limit]): [string, Limit] => {
        const { observationsPerS, readsPerS, requestsMax } = common[scope];
        return [
          name,
          {
            observationsPerS: limit.observationsPerS ?? observationsPerS,
            readsPerS: limit.readsPerS ?? readsPerS,
            requestsMax: limit.requestsMax ?? requestsMax,
          },
        ];
      }),
    );
  const owns = { space: own('space'), caller: own('caller') };
  return (scope, name) => owns[scope].get(name) ?? common[scope];
}
