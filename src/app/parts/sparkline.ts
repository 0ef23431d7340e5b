/** An SVG path through the values, scaled to the box; '' for fewer than two. */
export function sparkline(values: readonly number[], width: number, height: number): string {
  const finite = values.filter(Number.isFinite);
  if (finite.length < 2) return '';
  const low = Math.min(...finite);
  const span = Math.max(...finite) - low || 1;
  return finite
    .map((value, i) => {
      const x = 2 + (i / (finite.length - 1)) * (width - 4);
      const y = height - 2 - ((value - low) / span) * (height - 6);
      return `${i === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join('');
}
