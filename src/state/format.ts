export { formatBytes } from '../common/format.ts';

const NUMBER = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export function formatCount(value: number): string {
  return NUMBER.format(value);
}

/** "1 row", "1,204 rows". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** A loss with four significant digits at most. */
export function formatLoss(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  return value >= 10 ? value.toFixed(2) : value.toFixed(3);
}

export function formatRate(value: number): string {
  if (value === 0) return '0';
  return value >= 0.01 ? value.toPrecision(2) : value.toExponential(1).replace('e-', 'e−');
}

/** "40 seconds", "12 minutes", "3 hours 5 minutes". */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return 'unknown';
  if (seconds < 1) return 'less than a second';
  if (seconds < 90) return plural(Math.round(seconds), 'second');
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return plural(minutes, 'minute');
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  if (hours >= 48) return plural(Math.round(hours / 24), 'day');
  return rest === 0 ? plural(hours, 'hour') : `${plural(hours, 'hour')} ${plural(rest, 'minute')}`;
}

/** A place in a recording: "1:02", "1:02.5", "1:00:05". */
export function formatTime(seconds: number, tenths = false): string {
  const units = tenths ? Math.round(seconds * 10) : Math.round(seconds) * 10;
  const whole = Math.floor(units / 10);
  const part = tenths ? `.${units % 10}` : '';
  const two = (value: number): string => String(value).padStart(2, '0');
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${two(whole % 60)}${part}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}${part}`;
}

export function formatSpeed(tokensPerSecond: number): string {
  if (!Number.isFinite(tokensPerSecond) || tokensPerSecond <= 0) return '–';
  return tokensPerSecond < 10 ? tokensPerSecond.toFixed(1) : formatCount(tokensPerSecond);
}

/** 135000000 as "135 million". */
export function formatParameters(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)} billion`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} million`;
  return `${formatCount(Math.round(count / 1000))} thousand`;
}

const RELATIVE = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

export function formatAgo(time: number, now = Date.now()): string {
  const seconds = (time - now) / 1000;
  if (seconds > -60) return 'just now';
  if (seconds > -3600) return RELATIVE.format(Math.round(seconds / 60), 'minute');
  if (seconds > -86_400) return RELATIVE.format(Math.round(seconds / 3600), 'hour');
  return RELATIVE.format(Math.round(seconds / 86_400), 'day');
}
