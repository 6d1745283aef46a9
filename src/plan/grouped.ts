/** A number as people read it: 1,500 or 0.25, at most six decimals. */
export function grouped(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 6 });
}
