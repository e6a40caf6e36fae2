// Metadata filters, in the notation that Pinecone, Chroma and MongoDB share:
//   {"lang": "en", "rank": {"$gte": 10, "$lt": 20}, "$or": [{"a": {"$exists": true}}, {"$not": …}]}
// Clauses side by side must all hold. A dot in a field name reaches into nested objects and lists. A list
// has a value when one of its items has: {"tags": "new"} and {"tags": {"$in": […]}} look into it.

import { ClusterError, pointerStep } from './errors.ts';
import { LIMITS, type Metadata } from './observation.ts';

export type Predicate = (metadata: Metadata | undefined) => boolean;
type Test = (value: unknown) => boolean;

const COMPARISONS = ['$gt', '$gte', '$lt', '$lte'] as const;
const OPERATORS = ['$eq', '$ne', '$in', '$nin', '$exists', ...COMPARISONS];

/**
 * Compiles a filter; the predicate never throws, whatever the metadata holds.
 * @throws ClusterError INVALID_FILTER that points at the clause
 */
export function compileFilter(filter: unknown, pointer = '/filter'): Predicate {
  const budget = { clauses: LIMITS.filterClausesMax };
  return compileObject(filter, pointer, LIMITS.filterDepthMax, budget);
}

interface Budget {
  clauses: number;
}

function compileObject(filter: unknown, pointer: string, depth: number, budget: Budget): Predicate {
  if (typeof filter !== 'object' || filter === null || Array.isArray(filter))
    throw invalid('a filter must be an object', pointer);
  if (depth === 0) throw invalid(`it nests deeper than ${LIMITS.filterDepthMax} levels`, pointer);
  const entries: [string, unknown][] = Object.entries(filter);
  // An empty filter costs as much to ask as a clause: a list of many must not come for free.
  if (entries.length === 0) budget.clauses--;
  if (budget.clauses < 0)
    throw invalid(`it has more than ${LIMITS.filterClausesMax} clauses`, pointer);
  const all = entries.map(([key, clause]: [string, unknown]) => {
    const at = pointer + pointerStep(key);
    if (--budget.clauses < 0)
      throw invalid(`it has more than ${LIMITS.filterClausesMax} clauses`, pointer);
    if (key === '$and' || key === '$or') {
      if (!Array.isArray(clause) || clause.length === 0)
        throw invalid(`${key} needs a list of filters`, at);
      const parts = clause.map((part, i) => compileObject(part, `${at}/${i}`, depth - 1, budget));
      return key === '$and'
        ? (metadata: Metadata | undefined) => parts.every((part) => part(metadata))
        : (metadata: Metadata | undefined) => parts.some((part) => part(metadata));
    }
    if (key === '$not') {
      const part = compileObject(clause, at, depth - 1, budget);
      return (metadata: Metadata | undefined) => !part(metadata);
    }
    if (key.startsWith('$'))
      throw invalid(`it has no operator ${JSON.stringify(key.slice(0, 32))} here`, at);
    const path = key.split('.');
    const test = compileTest(clause, at, budget);
    return (metadata: Metadata | undefined) => test(valueAt(metadata, path));
  });
  return (metadata) => all.every((part) => part(metadata));
}

function compileTest(clause: unknown, pointer: string, budget: Budget): Test {
  requireFinite(clause, pointer);
  if (isScalar(clause)) return someOf((value) => value === clause);
  if (typeof clause !== 'object' || clause === null || Array.isArray(clause))
    throw invalid('a clause must be a value or an object of operators', pointer);
  const entries = Object.entries(clause) as [string, unknown][];
  if (entries.length === 0) throw invalid('a clause must name an operator', pointer);
  const tests = entries.map(([operator, operand]) =>
    compileOperator(operator, operand, pointer + pointerStep(operator), budget),
  );
  return (value) => tests.every((test) => test(value));
}

function compileOperator(
  operator: string,
  operand: unknown,
  pointer: string,
  budget: Budget,
): Test {
  requireFinite(operand, pointer);
  switch (operator) {
    case '$eq':
    case '$ne': {
      if (!isScalar(operand)) throw invalid(`${operator} needs a value`, pointer);
      const isEqual = someOf((value) => value === operand);
      return operator === '$eq' ? isEqual : (value) => !isEqual(value);
    }
    case '$in':
    case '$nin': {
      if (!Array.isArray(operand) || !operand.every(isScalar))
        throw invalid(`${operator} needs a list of values`, pointer);
      operand.forEach((value, i) => requireFinite(value, `${pointer}/${i}`));
      if ((budget.clauses -= operand.length) < 0)
        throw invalid(`it has more than ${LIMITS.filterClausesMax} clauses and values`, pointer);
      const set = new Set<unknown>(operand);
      const isOneOf = someOf((value) => set.has(value));
      return operator === '$in' ? isOneOf : (value) => !isOneOf(value);
    }
    case '$exists': {
      if (typeof operand !== 'boolean') throw invalid('$exists needs true or false', pointer);
      return (value) => (value !== undefined) === operand;
    }
    case '$gt':
    case '$gte':
    case '$lt':
    case '$lte': {
      if (typeof operand !== 'number' && typeof operand !== 'string')
        throw invalid(`${operator} needs a number or a text`, pointer);
      return someOf(compareWith(operator, operand));
    }
    default:
      throw invalid(`there is no operator ${JSON.stringify(operator.slice(0, 32))}`, pointer);
  }
}

/** Holds for a list when it holds for one of its items. */
function someOf(test: Test): Test {
  return (value) => (Array.isArray(value) ? value.some(test) : test(value));
}

/** Only values of the operand's own type compare: 10 is neither below nor above "9". */
function compareWith(operator: (typeof COMPARISONS)[number], operand: number | string): Test {
  const holds = {
    $gt: (value: number | string) => value > operand,
    $gte: (value: number | string) => value >= operand,
    $lt: (value: number | string) => value < operand,
    $lte: (value: number | string) => value <= operand,
  }[operator];
  return (value) =>
    (typeof value === 'number' || typeof value === 'string') &&
    typeof value === typeof operand &&
    holds(value);
}

/** JSON writes 1e400 and has no NaN: metadata cannot hold what such a number would be compared with. */
function requireFinite(value: unknown, pointer: string): void {
  if (typeof value === 'number' && !Number.isFinite(value))
    throw invalid('a number must be finite', pointer);
}

function isScalar(value: unknown): value is string | number | boolean | null {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}

function valueAt(metadata: Metadata | undefined, path: readonly string[]): unknown {
  let value: unknown = metadata;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return value;
}

function invalid(detail: string, pointer: string): ClusterError {
  return new ClusterError('INVALID_FILTER', `the filter is not valid: ${detail}`, {
    pointer,
    hint: `the operators are ${OPERATORS.join(' ')}, $and, $or and $not`,
  });
}
