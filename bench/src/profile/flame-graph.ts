// Stacks as a flame graph (Gregg, "The Flame Graph", Communications of the ACM, 2016): width is the share of
// samples, the callers are beneath.

import * as Plot from '@observablehq/plot';
import { hierarchy, partition } from 'd3-hierarchy';
import { drawn } from '../page/drawing.ts';
import { nameOf } from './hotspots.ts';
import type { Stack } from './perf.ts';

interface Node {
  readonly name: string;
  /** Samples that end here. */
  own: number;
  readonly children: Node[];
}

interface Box {
  readonly name: string;
  readonly x1: number;
  readonly x2: number;
  readonly y1: number;
  readonly y2: number;
}

const WIDTH = 1_200;
const ROW_HEIGHT = 15;
const MARGIN = 4;
/** Narrower ones cannot be seen. */
const SHARE_MIN = 0.002;
const CHARACTER_WIDTH = 6;
const COLOURS = ['#e8a33d', '#e58a3a', '#dd7230', '#e0b04c', '#d98b45', '#e59866'];

export function flameGraph(stacks: readonly Stack[], roleOf: (pid: number) => string): string {
  const root: Node = { name: 'all', own: 0, children: [] };
  for (const { pid, frames } of stacks) {
    let node = childOf(root, roleOf(pid));
    for (const frame of frames.toReversed()) node = childOf(node, nameOf(frame));
    node.own++;
  }
  const tree = hierarchy(root)
    .sum(({ own }) => own)
    .sort((left, right) => (right.value ?? 0) - (left.value ?? 0));
  const boxes: Box[] = [];
  for (const { data, x0, x1, depth } of partition<Node>().size([1, 1])(tree))
    if (x1 - x0 >= SHARE_MIN)
      boxes.push({ name: data.name, x1: x0, x2: x1, y1: depth, y2: depth + 1 });
  const depth = Math.max(...boxes.map(({ y2 }) => y2));
  const fits = ({ name, x1, x2 }: Box): string => {
    const characters = Math.floor(((x2 - x1) * WIDTH) / CHARACTER_WIDTH) - 1;
    return characters < 3
      ? ''
      : name.length <= characters
        ? name
        : `${name.slice(0, characters - 1)}…`;
  };
  const percent = ({ x1, x2 }: Box): string => `${((x2 - x1) * 100).toFixed(1)} %`;
  return drawn({
    width: WIDTH,
    height: depth * ROW_HEIGHT + 2 * MARGIN,
    margin: MARGIN,
    x: { axis: null, domain: [0, 1] },
    y: { axis: null, domain: [0, depth] },
    marks: [
      Plot.rect(boxes, {
        x1: 'x1',
        x2: 'x2',
        y1: 'y1',
        y2: 'y2',
        inset: 0.5,
        fill: ({ name }: Box) => COLOURS[hashOf(name) % COLOURS.length],
        title: (box: Box) => `${box.name} (${percent(box)})`,
      }),
      Plot.text(boxes, {
        x: 'x1',
        y: ({ y1 }: Box) => y1 + 0.5,
        dx: 3,
        textAnchor: 'start',
        text: fits,
        fontSize: 10,
        pointerEvents: 'none',
      }),
    ],
  });
}

function childOf(node: Node, name: string): Node {
  const known = node.children.find((child) => child.name === name);
  if (known !== undefined) return known;
  const made: Node = { name, own: 0, children: [] };
  node.children.push(made);
  return made;
}

/** The same name has the same colour in every graph. */
function hashOf(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (hash * 31 + name.charCodeAt(i)) >>> 0;
  return hash;
}
