import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

/** Of the two libraries what is used here: their own types need those of a browser. */
interface Svg {
  setAttribute(name: string, value: string): void;
  readonly outerHTML: string;
}
const draw = Plot.plot as unknown as (options: object) => Svg;
const parse = parseHTML as unknown as (html: string) => { readonly document: object };

/** A plot as SVG that stands alone. */
export function drawn(options: object): string {
  const { document } = parse('<!doctype html><html><body></body></html>');
  const plot = draw({ document, ...options });
  plot.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return plot.outerHTML;
}
