/** So long after a wait began Dawn is asked at every turn of the event loop: most waits are over by then (milliseconds). */
const EAGER = 1;
/** Later it is asked again after this share of the time waited already, which is how late an answer can come, … */
const LATE = 1 / 32;
/** … but at least and at most so often (milliseconds; Node's timers know none shorter). */
const SHORTEST = 1;
const LONGEST = 4;

/** A function of a native module, as Dawn's are: nameless and without source. Bound functions have a name. */
const isNative = (callback: unknown): boolean =>
  typeof callback === 'function' && callback.name === '' && /\{ \[native code\] \}$/.test(String(callback));

/**
 * Lets the main thread sleep while the device works. As long as a promise of WebGPU's is open, Dawn's binding asks for its
 * outcome in an immediate that sets the next: the event loop turns without a pause, and takes a core from a driver that
 * computes on the processor. The binding looks `setImmediate` up in the global object each time, so one that knows Dawn's
 * callbacks by sight can put a timer in its place. Everybody else's immediates are left alone.
 */
export function pacePolling(): void {
  const { setImmediate: immediate, setTimeout: timer } = globalThis;
  let began = 0;
  let polling = false;
  const poll = (callback: () => void): void => {
    polling = true;
    try {
      callback();
    } finally {
      polling = false;
    }
  };
  const paced = (callback: (...args: unknown[]) => void, ...args: unknown[]): unknown => {
    if (!isNative(callback)) return immediate(callback, ...args);
    const now = performance.now();
    // Dawn sets the next from within the last while anything is open; from elsewhere a wait begins.
    if (!polling) began = now;
    const waited = now - began;
    if (waited < EAGER) return immediate(poll, callback);
    return timer(poll, Math.min(LONGEST, Math.max(SHORTEST, waited * LATE)), callback);
  };
  // With its form for util.promisify.
  globalThis.setImmediate = Object.assign(paced, immediate);
}
