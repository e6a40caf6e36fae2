/** What is due first comes first; among equals, whoever was added first. */
export class MinHeap<T> {
  readonly #items: { readonly key: number; readonly order: number; readonly item: T }[] = [];
  #added = 0;

  get size(): number {
    return this.#items.length;
  }

  /** Infinity when there is nothing. */
  get firstKey(): number {
    return this.#items[0]?.key ?? Infinity;
  }

  add(key: number, item: T): void {
    const items = this.#items;
    const added = { key, order: this.#added++, item };
    let at = items.length;
    items.push(added);
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!isBefore(added, items[up]!)) break;
      items[at] = items[up]!;
      at = up;
    }
    items[at] = added;
  }

  /** Undefined when there is nothing. */
  take(): T | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (first === undefined || last === undefined || items.length === 0) return first?.item;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= items.length) break;
      if (down + 1 < items.length && isBefore(items[down + 1]!, items[down]!)) down++;
      if (!isBefore(items[down]!, last)) break;
      items[at] = items[down]!;
      at = down;
    }
    items[at] = last;
    return first.item;
  }
}

interface Keyed {
  readonly key: number;
  readonly order: number;
}

function isBefore(left: Keyed, right: Keyed): boolean {
  return left.key < right.key || (left.key === right.key && left.order < right.order);
}
